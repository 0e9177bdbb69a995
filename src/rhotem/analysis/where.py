"""Where slices and densities go: into memory, to disk piece by piece, or by way of the disk to a cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.tasks import PROGRAM, room
from rhotem.density.source import has_planes
from rhotem.microscope.plan import free_memory

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.structure.model import Structure

Kind = Literal["memory", "disk", "cluster"]

#: Largest step in Å of the grid of the smooth part of a streamed density.
SPACING = 0.2
#: Bytes for every point of a density whose potential is made in memory: values, Fourier coefficients and their indices.
POINT = 120.0
#: Planes that building slices in memory holds besides them.
PLANES = 40


@dataclass(frozen=True)
class Means:
    """What a computation may use.

    Parameters
    ----------
    memory : float or None
        Bytes, here and in every worker; None: 80 % of what is free.
    scheduler : str or None
        Address of a Dask scheduler.
    """

    memory: float | None = None
    scheduler: str | None = None

    @property
    def room(self) -> float | None:
        """Bytes for arrays."""
        return room(self.memory)

    def __str__(self) -> str:
        bound = "" if self.memory is None else f", {self.memory / 1e9:.2f} GB of memory allowed"
        return ("here" if self.scheduler is None else f"by the workers of {self.scheduler}") + bound


def place_of_images(cut: "Specimen", source: str, means: Means) -> Kind:
    """Where the potential of a specimen goes: to disk if it is too large and the source gives planes.

    Raises
    ------
    InputError
        If a cluster is to make it from a source that gives no planes.
    """
    if means.scheduler is not None:
        check_source(source)
        return "cluster"
    if not has_planes(source):
        return "memory"
    crystal = PeriodicGrid.from_spacing(cut.cell.unrotated.cell, SPACING)
    density = 0.0 if source == "free-atoms" else POINT * crystal.size
    return "memory" if fits(fine_grid(cut), means.memory, density) else "disk"


def place_of_potential(grid: PeriodicGrid, output: Path, means: Means) -> Kind:
    """Where slices on ``grid`` go on their way into a file: too large for memory, straight into a .zarr.

    Raises
    ------
    InputError
        If a cluster is to write another format.
    """
    if not _is_zarr(output, means.scheduler):
        return "memory"
    if means.scheduler is not None:
        return "cluster"
    return "memory" if fits(grid, means.memory) else "disk"


def place_of_density(structure: "Structure", spacing: float, output: Path, means: Means) -> Kind:
    """The same of a density with steps of ``spacing`` (Å)."""
    zarr, grid = _is_zarr(output, means.scheduler), PeriodicGrid.from_spacing(structure.cell, spacing)
    if not zarr:
        return "memory"
    if means.scheduler is not None:
        return "cluster"
    # values, free atoms and what becomes of them
    held = 32.0 * grid.size
    return "memory" if fits(PeriodicGrid(grid.cell, (1, 1, 1)), means.memory, held) else "disk"


def fine_grid(cut: "Specimen") -> PeriodicGrid:
    """Pixels and slices of the potential of a specimen."""
    (n_x, n_y, slices), finer = cut.grid.shape, cut.oversampling
    return PeriodicGrid(cut.grid.cell, (finer * n_x, finer * n_y, slices))


def fits(grid: PeriodicGrid, memory: float | None, beside: float = 0.0) -> bool:
    """Whether slices can be made in memory, ``beside`` so many bytes."""
    allowed = 0.8 * free_memory() if memory is None else memory - PROGRAM
    return 4.0 * grid.size + PLANES * 12.0 * grid.shape[0] * grid.shape[1] + beside <= allowed


def check_source(source: str) -> None:
    """Refuse a source that cannot give a density plane by plane.

    Raises
    ------
    InputError
        If it is a file, a DFT run or a published network.
    """
    if not has_planes(source):
        raise InputError(
            f"--source {source}: what is larger than memory, or made by a cluster, needs --source model or free-atoms; "
            "allow more --memory or use a smaller cell"
        )


def _is_zarr(output: Path, scheduler: str | None) -> bool:
    """Whether a file can be written in pieces; refuses another one where a cluster is to write it."""
    zarr = Path(output).suffix.lower() == ".zarr"
    if scheduler is not None and not zarr:
        raise InputError(f"--scheduler: workers write .zarr, not {Path(output).suffix or output}; name it so")
    return zarr
