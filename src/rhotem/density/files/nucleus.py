"""Near nuclei, where a grid cannot follow an all-electron density: fill, then put the count right."""

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.density.files.spheres import inside
from rhotem.structure.model import Structure

#: Values nearer than this (Å) are replaced by the mean of the shell around.
FILL_RADIUS = 0.15
#: Width in Å of the Gaussians that take the rest of the count.
SIGMA = 0.15


def filled(
    grid: PeriodicGrid, values: npt.NDArray, structure: Structure, radius: float = FILL_RADIUS
) -> npt.NDArray[np.float64]:
    """A copy of ``values`` in which points within ``radius`` (Å) of a nucleus have the mean of the shell around.

    The shell is one and a half grid steps thick. The operation is linear in ``values``.
    """
    result = np.array(values, dtype=float)
    outer = radius + 1.5 * float(grid.spacing.max())
    for centre in structure.positions:
        index, _, distance = inside(grid, centre, outer)
        near = distance < radius
        if near.any() and not near.all():
            result[tuple(i[near] for i in index)] = np.asarray(values)[tuple(i[~near] for i in index)].mean()
    return result


def with_count(
    grid: PeriodicGrid, values: npt.NDArray, structure: Structure, electrons: float, weights: npt.NDArray
) -> npt.NDArray[np.float64]:
    """``values`` plus narrow Gaussians on the atoms, so that they integrate to ``electrons``.

    Parameters
    ----------
    weights : (N,) array
        In what proportion the atoms take the difference.
    """
    result = np.array(values, dtype=float)
    missing = electrons - grid.integrate(result)
    if missing == 0 or not np.any(weights):
        return result
    for centre, share in zip(structure.positions, np.asarray(weights, dtype=float) / np.sum(weights), strict=True):
        index, _, distance = inside(grid, centre, 6.0 * max(SIGMA, float(grid.spacing.max()) / 2))
        gauss = np.exp(-0.5 * (distance / max(SIGMA, float(grid.spacing.max()) / 2)) ** 2)
        np.add.at(result, index, missing * share * gauss / (gauss.sum() * grid.voxel_volume))
    return result
