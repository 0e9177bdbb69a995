"""How loops are compiled: once per machine, and not silently."""

import sys
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import event

#: Reassociation and fused multiply-adds, without which loops do not vectorise; infinities are not assumed away.
FAST = {"contract", "reassoc", "nsz", "arcp"}


def compiled(function: Callable | None = None, *, exact: bool = False, inside: bool = False) -> Any:
    """``function`` compiled at its first call, kept on disk, with the interpreter's lock released.

    ``exact``: sums in the order as written. ``inside``: a piece of other functions, written into them.
    """
    if function is None:
        return lambda own: compiled(own, exact=exact, inside=inside)
    if inside:
        return njit(inline="always")(function)
    _watch()
    options: dict[str, Any] = {"fastmath": set() if exact else FAST, "nogil": True, "error_model": "numpy"}
    try:
        return njit(**options, cache=True)(function)
    except RuntimeError:  # no folder that could be written to: compiled in every process
        return njit(**options)(function)


class _Once(event.Listener):
    """Says at the first compilation of a process that one goes on; nothing where everything was kept on disk."""

    def on_start(self, event: Any) -> None:
        """Compilation begins."""
        if not self.told and str(event.data["dispatcher"].py_func.__module__).startswith("rhotem."):
            self.told = True
            sys.stderr.write("numerical kernels are compiled, once after every installation, some 10 s\n")

    def on_end(self, event: Any) -> None:
        """Compilation is done."""

    told = False


_ONCE = _Once()
_watching: list[bool] = []


def _watch() -> None:
    if not _watching:
        event.register("numba:compile", _ONCE)
        _watching.append(True)
