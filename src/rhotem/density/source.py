"""The seam: whatever makes a density is a `DensitySource`, found by name in a registry."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.structure.model import Structure

#: Entry-point group under which sources register (pyproject.toml); other packages may add theirs.
GROUP = "rhotem.density_sources"


class DensitySource(Protocol):
    """Structure and grid in, deformation density out."""

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        """Deformation density of ``structure``, smooth part sampled on ``grid`` (same cell).

        A source whose grid is fixed by its data (a file, a DFT run) returns its own finer grid instead.
        """
        ...


def source_names() -> list[str]:
    """Names of the registered sources."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def get_source(name: str, **options: Any) -> DensitySource:
    """The density source called ``name``, or one reading the file ``name``.

    Raises
    ------
    InputError
        If it is neither a registered name nor an existing file.
    """
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return entry.load()(**options)
    if Path(name).exists() and Path(name).suffix == ".gpw":
        return get_source("gpaw", path=name, **options)
    if Path(name).exists():
        return get_source("file", path=name, **options)
    raise InputError(
        f"--source {name}: no such source or file; choose one of {', '.join(source_names())}, or a density file"
    )
