"""Points in pieces that lie together, each with the periodic images of atoms near it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.learned.pairs import images_near_cell
from rhotem.structure.model import Structure

#: Points of a piece, about: what their pairs need should stay in the cache of a core.
TOGETHER = 256
#: Least edge in Å of the boxes that pieces lie in.
LEAST = 0.4
#: Points sorted into boxes at once: what sorting needs, some 150 bytes a point, stays small on grids of any size.
AT_ONCE = 1_000_000

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Piece:
    """Some points: their rows, themselves (P, 3), images (I, 3) near them in Å, and which atom each image is of."""

    rows: Whole
    points: Array
    images: Array
    owner: Whole


def pieces(points: Array, structure: Structure, cutoff: float) -> Iterator[Piece]:
    """All points (P, 3), in Å and anywhere, box by box; images are those within ``cutoff`` of a box, at least."""
    from scipy.spatial import cKDTree

    cell = structure.cell
    edge = max(LEAST, (TOGETHER * structure.volume / max(1, len(points))) ** (1.0 / 3.0))
    images, owner = images_near_cell(structure.positions, cell, cutoff)
    tree = cKDTree(images)
    for first in range(0, len(points), AT_ONCE):
        fractional = points[first : first + AT_ONCE] @ np.linalg.inv(cell)
        inside = (fractional - np.floor(fractional)) @ cell
        for rows in _together(inside, edge):
            own = inside[rows]
            low, high = own.min(0), own.max(0)
            reach = cutoff + 0.5 * float(np.linalg.norm(high - low)) + 1e-9
            near = np.sort(np.array(tree.query_ball_point(0.5 * (low + high), reach), dtype=np.int64))
            yield Piece(first + rows, own, images[near], owner[near])


def _together(points: Array, edge: float) -> Iterator[Whole]:
    """Rows of points that share a box, no more than twice `TOGETHER` at once."""
    box = np.floor(points / edge).astype(np.int64)
    order = np.lexsort(box.T)
    starts = np.flatnonzero((np.diff(box[order], axis=0, prepend=box[order[:1]] - 1) != 0).any(1))
    for rows in np.split(order, starts[1:]):
        yield from np.array_split(rows, max(1, round(len(rows) / (1.5 * TOGETHER))))
