"""How fine a grid a deformation density needs: what is lost when it is band-limited to a coarser one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.potential.deformation import SHARPEST, poisson

#: Grid steps in Å of the table in the documentation.
SPACINGS = (0.2, 0.15, 0.1, 0.07)


@dataclass(frozen=True)
class GridLoss:
    """What a grid of a given step cannot hold of a deformation density.

    Parameters
    ----------
    spacing : float
        Largest step in Å.
    shape : tuple of int
        Points of the grid.
    density : float
        Σ|Δn − Δn_grid| / Σ|Δn|.
    potential : float
        ‖V[Δn] − V[Δn_grid]‖ / ‖V[Δn]‖, root mean squares over the cell.
    largest : float
        Largest |V[Δn] − V[Δn_grid]| in V anywhere in the cell.
    """

    spacing: float
    shape: tuple[int, int, int]
    density: float
    potential: float
    largest: float


def grid_convergence(field: DensityField, spacings: Sequence[float] = SPACINGS) -> list[GridLoss]:
    """What band-limiting ``field`` (its one-centre parts included) to coarser grids loses.

    The reference holds every coefficient of the grid part, and one-centre parts up to |g| = 8 1/Å. Nothing here enters
    `build_potential`, which takes one-centre parts analytically: it tells whether a density *on a grid* is fine enough.

    Parameters
    ----------
    field : DensityField
        Deformation density.
    spacings : sequence of float
        Steps in Å.

    Raises
    ------
    InputError
        If the field is not a deformation density or a spacing is not positive.
    """
    if field.kind != "deformation":
        raise InputError(f"grid convergence: density of kind {field.kind!r}; it is defined for the deformation density")
    if min(spacings) <= 0:
        raise InputError(f"grid convergence: spacings {list(spacings)} Å; expected positive numbers")
    grid, density = _reference(field)
    potential = poisson(density, np.sqrt(grid.g_squared()))
    n, v = grid.inverse_fourier(density), grid.inverse_fourier(potential)
    return [_loss(grid, (density, potential), (n, v), spacing) for spacing in spacings]


def convergence_table(losses: Sequence[GridLoss]) -> str:
    """The result as lines of text."""
    lines = ["grid step   points             Σ|Δn| lost   ‖V[Δn]‖ lost   largest in V"]
    for loss in losses:
        shape = " × ".join(str(n) for n in loss.shape)
        lines.append(
            f"{loss.spacing:6.2f} Å    {shape:16s}   {100 * loss.density:8.1f} %   {100 * loss.potential:10.2f} %"
            f"   {loss.largest:10.3f}"
        )
    return "\n".join(lines)


def _reference(field: DensityField) -> tuple[PeriodicGrid, npt.NDArray[np.complex128]]:
    """A grid that holds the whole field, and its coefficients in fft order."""
    from rhotem.density.fourier import coefficients

    grid = field.grid
    if field.one_centre:
        sharp = PeriodicGrid.from_spacing(grid.cell, 0.5 / SHARPEST)
        grid = PeriodicGrid(grid.cell, tuple(np.maximum(grid.shape, sharp.shape)))
    h = np.stack(np.meshgrid(*grid.indices(), indexing="ij"), axis=-1).reshape(-1, 3)
    values = coefficients(field, h).reshape(grid.shape)
    return grid, values


def _loss(grid: PeriodicGrid, whole: tuple, real: tuple, spacing: float) -> GridLoss:
    coarse = PeriodicGrid.from_spacing(grid.cell, spacing)
    kept = np.ones(grid.shape, dtype=bool)
    for axis, (index, n) in enumerate(zip(grid.indices(), coarse.shape, strict=True)):
        side = [1, 1, 1]
        side[axis] = -1
        kept &= (2 * np.abs(index) < n).reshape(side)
    lost = [grid.inverse_fourier(np.where(kept, 0.0, part)) for part in whole]
    n, v = real
    return GridLoss(
        spacing,
        coarse.shape,
        float(np.abs(lost[0]).sum() / np.abs(n).sum()),
        float(np.sqrt((lost[1] ** 2).sum() / (v**2).sum())),
        float(np.abs(lost[1]).max()),
    )
