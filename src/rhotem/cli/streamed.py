"""When slices go to disk one by one, and from which density: `rhotem potential`, `rhotem image`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.options import COMPUTING, is_learned
from rhotem.core import InputError, PeriodicGrid
from rhotem.core.tasks import PROGRAM

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.density.stream import StreamedDensity
    from rhotem.structure.model import Structure

SchedulerOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask scheduler whose workers make the slices on disk (docs/clusters.md); without it this machine.",
        rich_help_panel=COMPUTING,
    ),
]

#: Largest step in Å of the grid of the smooth part of a streamed density.
SPACING = 0.2
#: Planes that building slices in memory holds besides them.
PLANES = 40


def is_streamed(grid: PeriodicGrid, output: Path, memory: float | None, scheduler: str | None) -> bool:
    """Whether slices on ``grid`` go straight into the file: asked for by --scheduler, or too large for memory.

    Raises
    ------
    InputError
        If a cluster is to write another format than .zarr.
    """
    own = Path(output).suffix.lower() == ".zarr"
    if scheduler is not None and not own:
        raise InputError(f"--scheduler: workers write .zarr, not {Path(output).suffix or output}; name it so")
    return own and (scheduler is not None or not _fits(grid, memory))


def is_image_streamed(cut: "Specimen", source: str, memory: float | None, scheduler: str | None) -> bool:
    """Whether the potential of a specimen goes to disk: by --scheduler, or too large where the source can be streamed.

    Raises
    ------
    InputError
        If it is to be made by a cluster, from a source that cannot be streamed.
    """
    if scheduler is not None:
        check_source(source)
        return True
    if source != "free-atoms" and not is_learned(source):
        return False
    from rhotem.analysis.run import DENSITY_SPACING

    crystal = cut.cell.unrotated.cell
    # values and their Fourier coefficients
    density = 0.0 if source == "free-atoms" else 24.0 * PeriodicGrid.from_spacing(crystal, DENSITY_SPACING).size
    return not _fits(fine_grid(cut), memory, density)


def fine_grid(cut: "Specimen") -> PeriodicGrid:
    """Pixels and slices of the potential of a specimen."""
    from rhotem.analysis.run import oversampling

    (n_x, n_y, slices), finer = cut.grid.shape, oversampling(cut.preset)
    return PeriodicGrid(cut.grid.cell, (finer * n_x, finer * n_y, slices))


def _fits(grid: PeriodicGrid, memory: float | None, beside: float = 0.0) -> bool:
    """Whether slices can be made in memory, ``beside`` so many bytes."""
    from rhotem.microscope.plan import free_memory

    allowed = 0.8 * free_memory() if memory is None else memory - PROGRAM
    return 4.0 * grid.size + PLANES * 12.0 * grid.shape[0] * grid.shape[1] + beside <= allowed


def check_source(source: str) -> None:
    """Refuse a source that cannot give a density plane by plane.

    Raises
    ------
    InputError
        If it is a file, a DFT run or a published network.
    """
    if source != "free-atoms" and not is_learned(source):
        raise InputError(
            f"--source {source}: a potential larger than memory, or one made by a cluster, needs --source model or "
            "free-atoms; allow more --memory or use a smaller cell"
        )


def streamed_density(
    source: str,
    structure: "Structure",
    memory: float | None,
    announce: Callable[[str], None] | None = None,
    **options: Any,
) -> "StreamedDensity":
    """The density of an imaging cell from a source that can give it plane by plane.

    Raises
    ------
    InputError
        If the source is a file, a DFT run or a network without functions around atoms.
    """
    from rhotem.density.source import get_source
    from rhotem.density.stream import streamed

    check_source(source)
    grid = PeriodicGrid.from_spacing(structure.cell, SPACING)
    if source == "free-atoms":
        return streamed(get_source(source, **options)(structure, grid))
    from rhotem.models.fast.stream import stream
    from rhotem.models.source import Model

    model = get_source(source, memory=memory, announce=announce, **options)
    if not isinstance(model, Model):
        raise InputError(f"--source {source}: not a learned density that can be streamed; use --source model")
    return stream(model, structure, SPACING)


def announced(
    structure: "Structure",
    grid: PeriodicGrid,
    source: tuple[str, dict[str, Any]],
    how: tuple[float | None, str | None],
    tell: Callable[[str], None] = typer.echo,
) -> "StreamedDensity":
    """Say that slices go to disk, and with which density; returns that.

    Parameters
    ----------
    structure : Structure
        The imaging cell, repeated as wanted.
    grid : PeriodicGrid
        Of the slices.
    source : (str, dict)
        Its name and options.
    how : (float or None, str or None)
        Bytes allowed here and for every worker; address of the scheduler.
    tell : callable
    """
    memory, scheduler = how
    check_source(source[0])
    n_x, n_y, slices = grid.shape
    bound = "" if memory is None else f", {memory / 1e9:.2f} GB of memory allowed"
    where = "here" if scheduler is None else f"by the workers of {scheduler}"
    held = f"{slices} slices of {n_x} × {n_y}, {4.0 * grid.size / 1e9:.2f} GB"
    tell(f"potential   {held}, to disk one by one {where}{bound}")
    density = streamed_density(source[0], structure, memory, announce=tell, **source[1])
    points = " × ".join(str(n) for n in density.grid.shape)
    tell(f"density     {len(structure)} atoms, {points} points, plane by plane")
    return density


def room(memory: float | None) -> float | None:
    """Bytes for arrays within ``memory``."""
    return None if memory is None else max(memory - PROGRAM, 0.1 * memory)


def write(
    structure: "Structure",
    grid: PeriodicGrid,
    target: Path,
    source: tuple[str, dict[str, Any]],
    how: tuple[float | None, str | None],
) -> float:
    """Print the plan and write the slices to ``target``; returns the mean inner potential in V. As `announced`."""
    from rhotem.cli.common import ProgressBar
    from rhotem.potential.parametrizations import mean_inner_potential
    from rhotem.potential.stream import stream_potential

    density = announced(structure, grid, source, how)
    with ProgressBar() as progress:
        stream_potential(density, grid, target, memory_limit=room(how[0]), scheduler=how[1], progress=progress)
    return mean_inner_potential("pbe", structure.numbers, grid.volume)
