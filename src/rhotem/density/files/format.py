"""What a density format is: endings, how it is read and written, what its numbers may mean."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rhotem.density.field import DensityField
from rhotem.density.files.raw import RawDensity
from rhotem.structure.model import Structure

#: Path, the structure that is asked for, and whether the endpoint is repeated (None: as the format has it).
Reader = Callable[[Path, Structure | None, bool | None], RawDensity]
#: A field, and an open text or binary stream or the path of a folder that is not there.
Writer = Callable[[DensityField, Any], None]


def as_written(raw: RawDensity) -> tuple[tuple[float, ...], ...]:
    """The unit of a format that says it."""
    return ((1.0,),)


@dataclass(frozen=True)
class Format:
    """A density format; one entry for every ending in `rhotem.density.files.formats.FORMATS`.

    Parameters
    ----------
    name : str
    read : callable
    write : callable or None
        None: it is only read.
    medium : "text", "binary" or "folder"
        What ``write`` takes; texts may be compressed.
    whole : bool
        Keeps one-centre terms, spin, charge and provenance; other formats hold the grid alone.
    source : str
        The density source that takes files of this format where they hold more than a grid; else empty.
    called : callable
        Whether a file name without a known ending is of this format.
    units : callable
        Factors by which values may have to be multiplied for e/Å³, equally likely ones together, likelier ones first.
    """

    name: str
    read: Reader
    write: Writer | None = None
    medium: Literal["text", "binary", "folder"] = "text"
    whole: bool = False
    source: str = ""
    called: Callable[[str], bool] = lambda name: False
    units: Callable[[RawDensity], tuple[tuple[float, ...], ...]] = as_written
