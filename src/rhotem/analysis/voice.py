"""Whom a run talks to: the command line draws it, Python users may print it, collect it or not listen."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from rhotem.core import Progress, silent


class RhoTEMWarning(UserWarning):
    """Something doubtful about a result, said where it was asked for from Python."""


def _python_warning(text: str) -> None:
    """A Python warning that points at the first caller outside of RhoTEM."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "rhotem":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, RhoTEMWarning, stacklevel=level)


def _not_listening(text: str) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Voice:
    """Three callables.

    Parameters
    ----------
    tell : callable
        Takes a text: the plan, notes, what was found.
    warn : callable
        Takes a text: what is doubtful about the result. Without it a Python warning.
    progress : Progress
    """

    tell: Callable[[str], None] = _not_listening
    warn: Callable[[str], None] = _python_warning
    progress: Progress = silent

    def doubts(self, record: dict) -> None:
        """Say what the record of a density warns of."""
        for warning in record.get("warnings", ()):
            self.warn(str(warning))
