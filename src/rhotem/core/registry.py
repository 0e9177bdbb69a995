"""What installed packages register under a group of entry points: sources, architectures, weights, potentials."""

from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points


@lru_cache
def registered(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name, in the order of names.

    Packages are looked through once in a process, which takes some milliseconds a group.
    """
    return {entry.name: entry for entry in sorted(entry_points(group=group), key=lambda entry: entry.name)}
