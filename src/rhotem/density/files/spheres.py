"""Geometry of spheres around atoms on a periodic grid: points inside, and spherical-harmonic expansions."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.density.harmonics import real_harmonics
from rhotem.density.superpose import near_points
from rhotem.structure.model import Structure

#: Degree of the interpolating spline; quintic, because moments and slopes at the sphere are taken from it.
ORDER = 5


@dataclass(frozen=True)
class Sphere:
    """A sphere around an atom: centre and radius in Å."""

    atom: int
    Z: int
    centre: npt.NDArray[np.float64]
    radius: float


def inside(
    grid: PeriodicGrid, centre: npt.NDArray, radius: float
) -> tuple[tuple[npt.NDArray, ...], npt.NDArray, npt.NDArray]:
    """Indices of the grid points within ``radius`` of ``centre``, their vectors from it and distances in Å.

    A radius beyond half the cell returns a point once for every image that is inside.
    """
    points, vectors = near_points(grid, centre, radius)
    return tuple(points.T), vectors, np.linalg.norm(vectors, axis=1)


def non_overlapping(structure: Structure, radii: npt.NDArray) -> npt.NDArray[np.float64]:
    """Radii in Å, each reduced so far that spheres only touch, in proportion to the radii asked for."""
    from ase.neighborlist import neighbor_list

    i, j, d = neighbor_list("ijd", structure.atoms, list(np.asarray(radii, dtype=float)), self_interaction=False)
    result = np.array(radii, dtype=float)
    np.minimum.at(result, i, radii[i] / (radii[i] + radii[j]) * d)
    return result


@lru_cache(maxsize=4)
def directions(order: int = 12) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Unit vectors and weights (sum 4π) exact for harmonics up to degree 2·order − 1: Gauss–Legendre in cos θ."""
    x, w = np.polynomial.legendre.leggauss(order)
    phi = np.arange(2 * order) * np.pi / order
    s = np.sqrt(1.0 - x**2)[:, None]
    vectors = np.stack([s * np.cos(phi), s * np.sin(phi), np.broadcast_to(x[:, None], (order, 2 * order))], axis=-1)
    return vectors.reshape(-1, 3), np.repeat(w * np.pi / order, 2 * order)


class Expander:
    """Expands a smooth periodic function into real harmonics around any point."""

    def __init__(self, grid: PeriodicGrid, values: npt.NDArray, lmax: int) -> None:
        from scipy.ndimage import spline_filter

        self.grid, self.lmax = grid, lmax
        self._coefficients = spline_filter(np.asarray(values, dtype=float), order=ORDER, mode="grid-wrap")
        self._vectors, weights = directions()
        self._projector = real_harmonics(self._vectors, lmax) * weights[:, None]

    def __call__(self, centre: npt.NDArray, radii: npt.NDArray) -> npt.NDArray[np.float64]:
        """R_lm at ``radii``, shape (len(radii), (lmax+1)²)."""
        from scipy.ndimage import map_coordinates

        points = centre + radii[:, None, None] * self._vectors
        index = np.linalg.solve(self.grid.cell.T, points.reshape(-1, 3).T) * np.array(self.grid.shape)[:, None]
        values: Any = map_coordinates(self._coefficients, index, order=ORDER, mode="grid-wrap", prefilter=False)
        return values.reshape(len(radii), -1) @ self._projector
