"""When `rhotem potential` goes slice by slice to disk, and with which density."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.options import COMPUTING
from rhotem.core import InputError, PeriodicGrid
from rhotem.core.tasks import PROGRAM

if TYPE_CHECKING:
    from rhotem.density.stream import StreamedDensity
    from rhotem.structure.model import Structure

SchedulerOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask scheduler whose workers make the slices of a .zarr (docs/clusters.md); without it this machine.",
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
    if scheduler is not None:
        if not own:
            raise InputError(f"--scheduler: workers write .zarr, not {Path(output).suffix or output}; name it so")
        return True
    from rhotem.microscope.plan import free_memory

    allowed = 0.8 * free_memory() if memory is None else memory
    plane = float(grid.shape[0] * grid.shape[1])
    return own and 4.0 * grid.size + PLANES * 12.0 * plane > allowed - (0.0 if memory is None else PROGRAM)


def streamed_density(source: str, structure: "Structure", memory: float | None, **options: Any) -> "StreamedDensity":
    """The density of an imaging cell from a source that can give it plane by plane.

    Raises
    ------
    InputError
        If the source is a file, a DFT run or a network without functions around atoms.
    """
    from rhotem.density.source import get_source
    from rhotem.density.stream import streamed

    grid = PeriodicGrid.from_spacing(structure.cell, SPACING)
    if source == "free-atoms":
        return streamed(get_source(source)(structure, grid))
    if source.partition(":")[0] != "model":
        raise InputError(
            f"--source {source}: a potential larger than memory, or one made by a cluster, needs --source model or "
            "free-atoms; allow more --memory or use fewer repeats"
        )
    from rhotem.models.fast.stream import stream
    from rhotem.models.source import Model

    model = get_source(source, memory=memory, **options)
    if not isinstance(model, Model):
        raise InputError(f"--source {source}: not a learned density that can be streamed; use --source model")
    return stream(model, structure, SPACING)


def write(
    structure: "Structure",
    grid: PeriodicGrid,
    target: Path,
    source: tuple[str, dict[str, Any]],
    how: tuple[float | None, str | None],
) -> float:
    """Print the plan and write the slices; returns the mean inner potential in V.

    Parameters
    ----------
    structure : Structure
        The imaging cell, repeated as wanted.
    grid : PeriodicGrid
    target : Path
    source : (str, dict)
        Its name and options.
    how : (float or None, str or None)
        Bytes allowed here and for every worker; address of the scheduler.
    """
    from rhotem.cli.common import ProgressBar
    from rhotem.potential.parametrizations import mean_inner_potential
    from rhotem.potential.stream import stream_potential

    memory, scheduler = how
    n_x, n_y, slices = grid.shape
    bound = "" if memory is None else f", {memory / 1e9:.2f} GB of memory allowed"
    where = "here" if scheduler is None else f"by the workers of {scheduler}"
    typer.echo(
        f"slices      {slices} of {n_x} × {n_y}, {4.0 * grid.size / 1e9:.2f} GB, to disk one by one {where}{bound}"
    )
    density = streamed_density(source[0], structure, memory, **source[1])
    points = " × ".join(str(n) for n in density.grid.shape)
    typer.echo(f"density     {len(structure)} atoms, {points} points, plane by plane")
    room = None if memory is None else max(memory - PROGRAM, 0.1 * memory)
    with ProgressBar() as progress:
        stream_potential(density, grid, target, memory_limit=room, scheduler=scheduler, progress=progress)
    return mean_inner_potential("pbe", structure.numbers, grid.volume)
