"""When densities and slices go to disk piece by piece: `rhotem density`, `rhotem potential`, `rhotem image`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rhotem.cli.options import COMPUTING, is_learned
from rhotem.core import InputError, PeriodicGrid
from rhotem.core.tasks import PROGRAM, room

if TYPE_CHECKING:
    from rhotem.analysis.specimen import Specimen
    from rhotem.density.field import DensityField
    from rhotem.density.stream import StreamedDensity
    from rhotem.structure.model import Structure

SchedulerOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask scheduler whose workers do the work, by way of the disk (docs/clusters.md).",
        rich_help_panel=COMPUTING,
    ),
]

#: Largest step in Å of the grid of the smooth part of a streamed density.
SPACING = 0.2
#: Bytes for every point of a density whose potential is made in memory: values, Fourier coefficients and their indices.
POINT = 120.0
#: Planes that building slices in memory holds besides them.
PLANES = 40


def is_streamed(grid: PeriodicGrid, output: Path, memory: float | None, scheduler: str | None) -> bool:
    """Whether slices on ``grid`` go straight into the file: asked for by --scheduler, or too large for memory.

    Raises
    ------
    InputError
        If a cluster is to write another format than .zarr.
    """
    return _is_zarr(output, scheduler) and (scheduler is not None or not _fits(grid, memory))


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
    if not has_planes(source):
        return False
    crystal = PeriodicGrid.from_spacing(cut.cell.unrotated.cell, SPACING)
    density = 0.0 if source == "free-atoms" else POINT * crystal.size
    return not _fits(fine_grid(cut), memory, density)


def is_density_streamed(
    structure: "Structure", spacing: float, output: Path, memory: float | None, scheduler: str | None
) -> bool:
    """Whether a density goes straight into its .zarr: asked for by --scheduler, or too large for memory.

    Raises
    ------
    InputError
        If a cluster is to write another format than .zarr.
    """
    own, grid = _is_zarr(output, scheduler), PeriodicGrid.from_spacing(structure.cell, spacing)
    # values, free atoms and what becomes of them
    return own and (scheduler is not None or not _fits(PeriodicGrid(grid.cell, (1, 1, 1)), memory, 32.0 * grid.size))


def write_density_in_pieces(
    structure: "Structure",
    target: Path,
    kind: Any,
    source: tuple[str, dict[str, Any]],
    how: tuple[float, float | None, str | None],
) -> "StreamedDensity":
    """Print the plan to stderr and write the density; ``how``: spacing in Å, memory, scheduler. As `announced`."""
    from rhotem.analysis.polar import checked
    from rhotem.cli.common import ProgressBar
    from rhotem.density.stream_write import write_streamed

    spacing, memory, scheduler = how
    check_source(source[0])
    shape = PeriodicGrid.from_spacing(structure.cell, spacing).shape
    points = " × ".join(str(n) for n in shape)
    plan = f"density     {len(structure)} atoms, {points} points, to disk plane by plane {_where(memory, scheduler)}"
    typer.echo(plan, err=True)

    def tell(text: str) -> None:
        typer.echo(text, err=True)

    density = checked(streamed_density(source[0], structure, memory, tell, spacing, **source[1]), allow_polar=True)
    warn(density)
    with ProgressBar() as progress:
        record = write_streamed(
            density, target, kind, memory_limit=room(memory), scheduler=scheduler, progress=progress
        )
    return replace(density, record=record)


def fine_grid(cut: "Specimen") -> PeriodicGrid:
    """Pixels and slices of the potential of a specimen."""
    (n_x, n_y, slices), finer = cut.grid.shape, cut.oversampling
    return PeriodicGrid(cut.grid.cell, (finer * n_x, finer * n_y, slices))


def _is_zarr(output: Path, scheduler: str | None) -> bool:
    """Whether a file can be written in pieces; refuses another one where a cluster is to write it."""
    own = Path(output).suffix.lower() == ".zarr"
    if scheduler is not None and not own:
        raise InputError(f"--scheduler: workers write .zarr, not {Path(output).suffix or output}; name it so")
    return own


def _where(memory: float | None, scheduler: str | None) -> str:
    """Who does the work, and with how much memory, for a line of the plan."""
    bound = "" if memory is None else f", {memory / 1e9:.2f} GB of memory allowed"
    return ("here" if scheduler is None else f"by the workers of {scheduler}") + bound


def _fits(grid: PeriodicGrid, memory: float | None, beside: float = 0.0) -> bool:
    """Whether slices can be made in memory, ``beside`` so many bytes."""
    from rhotem.microscope.plan import free_memory

    allowed = 0.8 * free_memory() if memory is None else memory - PROGRAM
    return 4.0 * grid.size + PLANES * 12.0 * grid.shape[0] * grid.shape[1] + beside <= allowed


def has_planes(source: str) -> bool:
    """Whether a source may give a density plane by plane."""
    return source == "free-atoms" or is_learned(source)


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


def streamed_density(
    source: str,
    structure: "Structure",
    memory: float | None,
    announce: Callable[[str], None] | None = None,
    spacing: float = SPACING,
    **options: Any,
) -> "StreamedDensity":
    """The density of a cell from a source that can give it plane by plane, on a grid of at most ``spacing`` (Å).

    Raises
    ------
    InputError
        If the source is a file, a DFT run or a network without functions around atoms.
    """
    from rhotem.density.source import get_source
    from rhotem.density.stream import streamed

    check_source(source)
    grid = PeriodicGrid.from_spacing(structure.cell, spacing)
    if source == "free-atoms":
        return streamed(get_source(source, **options)(structure, grid))
    from rhotem.learned.planes import stream
    from rhotem.learned.source import Model

    model = get_source(source, memory=memory, announce=announce, **options)
    if not isinstance(model, Model):
        raise InputError(f"--source {source}: not a learned density that can be streamed; use --source model")
    return stream(model, structure, spacing)


def announced(
    structure: "Structure",
    grid: PeriodicGrid,
    source: tuple[str, dict[str, Any]],
    how: tuple[float | None, str | None],
    tell: Callable[[str], None] = typer.echo,
    *,
    allow_polar: bool = False,
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
    allow_polar : bool
        As `rhotem.analysis.run.density`.

    Raises
    ------
    InputError
        As `streamed_density` and `rhotem.analysis.run.density`.
    """
    from rhotem.analysis.polar import checked

    memory, scheduler = how
    check_source(source[0])
    n_x, n_y, slices = grid.shape
    held = f"{slices} slices of {n_x} × {n_y}, {4.0 * grid.size / 1e9:.2f} GB"
    tell(f"potential   {held}, to disk one by one {_where(memory, scheduler)}")
    density = streamed_density(source[0], structure, memory, announce=tell, **source[1])
    points = " × ".join(str(n) for n in density.grid.shape)
    tell(f"density     {len(structure)} atoms, {points} points, plane by plane")
    return checked(density, allow_polar)


def warn(density: "DensityField | StreamedDensity") -> None:
    """Say on stderr what a density's record warns of."""
    for warning in density.record.get("warnings", ()):
        typer.echo(f"warning: {warning}", err=True)


def write(
    structure: "Structure",
    grid: PeriodicGrid,
    target: Path,
    source: tuple[str, dict[str, Any]],
    how: tuple[float | None, str | None],
    *,
    allow_polar: bool = False,
) -> float:
    """Print the plan and write the slices to ``target``; returns the mean inner potential in V. As `announced`."""
    from rhotem.cli.common import ProgressBar
    from rhotem.potential.parametrizations import mean_inner_potential
    from rhotem.potential.stream import stream_potential

    density = announced(structure, grid, source, how, allow_polar=allow_polar)
    warn(density)
    with ProgressBar() as progress:
        stream_potential(density, grid, target, memory_limit=room(how[0]), scheduler=how[1], progress=progress)
    return mean_inner_potential("pbe", structure.numbers, grid.volume)
