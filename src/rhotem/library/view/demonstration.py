"""The demonstration: small entries that come with a package, so that there is something to see at once."""

from pathlib import Path

from rhotem.core import MissingDependencyError
from rhotem.core.registry import registered

#: Entry points that name a folder of entries.
GROUP = "rhotem.entries"


def demonstration() -> Path:
    """The folder of the first package that brings entries.

    Raises
    ------
    MissingDependencyError
        If none does.
    """
    for point in registered(GROUP).values():
        return Path(point.load())
    raise MissingDependencyError(
        "no folder given, and the demonstration is not installed: pip install packages/rhotem-data, or give a folder "
        "with entries of `rhotem response`"
    )
