"""The demonstration: small entries that come with a package, so that there is something to see at once."""

from importlib.metadata import entry_points
from pathlib import Path

from rhotem.core import MissingDependencyError

#: Entry points that name a folder of entries.
GROUP = "rhotem.entries"


def demonstration() -> Path:
    """The folder of the first package that brings entries.

    Raises
    ------
    MissingDependencyError
        If none does.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        return Path(point.load())
    raise MissingDependencyError(
        "no folder given, and the demonstration is not installed: pip install packages/rhotem-data, or give a folder "
        "with entries of `rhotem response`"
    )
