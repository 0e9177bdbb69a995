"""Voronoi cells of seeds in a block, as half-spaces."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Points this near to a face (Å) lie on it: they belong to one of the two cells.
ON_FACE = 1e-8


@dataclass(frozen=True, eq=False)
class Cell:
    """A convex cell: points with ``x @ normals.T < heights``; of two opposite faces one is in it."""

    normals: Floats
    heights: Floats
    vertices: Floats
    volume: float

    def depth(self, points: Floats) -> Floats:
        """Distance inside the nearest face; negative outside."""
        return np.asarray((self.heights - points @ self.normals.T).min(axis=1))


def voronoi_cells(seeds: Floats, sides: Floats, free: npt.NDArray[np.bool_]) -> list[Cell]:
    """Voronoi cells in a block, periodic or ending at its faces."""
    from scipy.spatial import ConvexHull, Voronoi

    kinds = [[(1.0, 0.0), *(((-1.0, 0.0), (-1.0, 2 * l)) if f else ((1.0, -l), (1.0, l)))]
             for l, f in zip(sides, free, strict=True)]  # fmt: skip
    images = [np.array([s for s, _ in c]) * seeds + [o for _, o in c] for c in product(*kinds)]
    diagram = Voronoi(np.concatenate(images))
    points, ridges = diagram.points, diagram.ridge_points
    cells = []
    for index, seed in enumerate(seeds):
        pairs = ridges[(ridges == index).any(axis=1)]
        others = points[pairs.sum(axis=1) - index]
        apart = np.linalg.norm(others - seed, axis=1)
        normals = (others - seed) / apart[:, None]
        heights = (normals * (others + seed) / 2).sum(axis=1)
        surface = ((np.abs(normals) > 1 - 1e-9) & (others < 0) & free).any(axis=1)
        heights += np.where(surface | _forward(normals), ON_FACE, -ON_FACE)
        vertices = diagram.vertices[diagram.regions[diagram.point_region[index]]]
        cells.append(Cell(normals, heights, vertices, float(ConvexHull(vertices).volume)))
    return cells


def _forward(normals: Floats) -> npt.NDArray[np.bool_]:
    """Whether the first component of a normal that is not zero is positive: so for one of ±n."""
    leading = (np.abs(normals) > 1e-6).argmax(axis=1)
    return np.asarray(normals[np.arange(len(normals)), leading] > 0)
