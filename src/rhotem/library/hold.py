"""The right to write into a library: one driver at a time, on whatever machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rhotem.core import InputError
from rhotem.core.claims import Claim, is_held
from rhotem.library.layout import DRIVER


@contextmanager
def hold(folder: Path) -> Iterator[Claim]:
    """Be the one that writes into a library; others are refused until the block, or the process, ends.

    Whoever is taken for dead (another host has seen no sign of life for minutes) holds it no more: `Claim.held`.

    Raises
    ------
    InputError
        If somebody else is.
    """
    claim = Claim(folder / DRIVER)
    if not claim.acquire():
        raise InputError(f"{folder}: {holder(folder) or 'another process'} is writing into it; wait for it to end")
    try:
        yield claim
    finally:
        claim.release()


def holder(folder: Path) -> str:
    """Who writes into a library, in words; "" if nobody does."""
    path = folder / DRIVER
    if not is_held(path):
        return ""
    try:
        said = json.loads(path.read_text())
        return f"process {said['pid']} of {said['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
