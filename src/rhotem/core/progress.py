"""How long work reports progress, without knowing who shows it."""

from collections.abc import Callable

#: Called as ``progress(stage, done, total)``; the command line draws it, Python users may ignore it.
Progress = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """Show nothing."""
