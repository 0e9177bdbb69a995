"""How fine a grid a deformation density needs: what is lost when it is band-limited to coarser ones.

    python benchmarks/grid_convergence.py examples/LiCoO2.cif gpaw      # any source: model, a density file, ...

The reference holds every coefficient of the grid part, and one-centre parts up to |g| = 8 1/Å. `build_potential` takes
one-centre parts analytically: this tells whether a density *on a grid* is fine enough. Table in docs/potential.md.
"""

import sys

import numpy as np
import numpy.typing as npt

from rhotem.analysis import run
from rhotem.core import PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.fourier import coefficients
from rhotem.potential.deformation import SHARPEST, poisson

#: Grid steps in Å.
SPACINGS = (0.2, 0.15, 0.1, 0.07)


def reference(field: DensityField) -> tuple[PeriodicGrid, npt.NDArray[np.complex128]]:
    """A grid that holds the whole field, and its coefficients in fft order."""
    grid = field.grid
    if field.one_centre:
        sharp = PeriodicGrid.from_spacing(grid.cell, 0.5 / SHARPEST)
        grid = PeriodicGrid(grid.cell, tuple(np.maximum(grid.shape, sharp.shape)))
    h = np.stack(np.meshgrid(*grid.indices(), indexing="ij"), axis=-1).reshape(-1, 3)
    return grid, coefficients(field, h).reshape(grid.shape)


def kept_by(grid: PeriodicGrid, spacing: float) -> tuple[PeriodicGrid, npt.NDArray[np.bool_]]:
    """The coarse grid of a step, and which coefficients of ``grid`` it holds."""
    coarse = PeriodicGrid.from_spacing(grid.cell, spacing)
    kept = np.ones(grid.shape, dtype=bool)
    for axis, (index, n) in enumerate(zip(grid.indices(), coarse.shape, strict=True)):
        side = [1, 1, 1]
        side[axis] = -1
        kept &= (2 * np.abs(index) < n).reshape(side)
    return coarse, kept


def main(structure: str, source: str | None = None) -> None:
    """Print the table."""
    grid, density = reference(run.density(run.structure(structure), source))
    potential = poisson(density, np.sqrt(grid.g_squared()))
    n, v = grid.inverse_fourier(density), grid.inverse_fourier(potential)
    print("grid step   points             Σ|Δn| lost   ‖V[Δn]‖ lost   largest in V")
    for spacing in SPACINGS:
        coarse, kept = kept_by(grid, spacing)
        lost_n, lost_v = (grid.inverse_fourier(np.where(kept, 0.0, part)) for part in (density, potential))
        shares = np.abs(lost_n).sum() / np.abs(n).sum(), np.sqrt((lost_v**2).sum() / (v**2).sum())
        shape = " × ".join(str(k) for k in coarse.shape)
        print(
            f"{spacing:6.2f} Å    {shape:16s}   {100 * shares[0]:8.1f} %   {100 * shares[1]:10.2f} %"
            f"   {np.abs(lost_v).max():10.3f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
