"""Beams that the symmetry of a crystal maps onto each other: one of them goes through it for all."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

IntArray = npt.NDArray[np.int64]

IDENTITY = np.eye(2, dtype=np.int64)
#: Rounding of whole numbers; relative change of the squares of lengths that is none.
ROUNDING, LENGTHS = 1e-9, 1e-6


def group_of(
    operations: Sequence[npt.ArrayLike], repeats: tuple[int, int], supercell: tuple[float, float], beam: npt.ArrayLike
) -> IntArray:
    """Operations (n, 2, 2) on beams of a supercell from those on reciprocal vectors of the cell that it repeats.

    Left out are those that do not map the beams of the supercell onto themselves, change lengths, or turn a tilted
    illumination: a square crystal on a supercell of 3 × 2 cells keeps its mirrors only.

    Parameters
    ----------
    operations : sequence of (2, 2) int arrays
    repeats : (int, int)
        The supercell in cells.
    supercell : (float, float)
        Å.
    beam : (2,) array
        Where the illumination is centred, 1/Å.

    Raises
    ------
    InputError
        If they are no group of whole matrices.
    """
    scale, sides = np.array(repeats, dtype=float), np.array(supercell)
    metric, centre = np.diag(1 / sides**2), np.asarray(beam, dtype=float) * sides
    kept = {IDENTITY.tobytes(): IDENTITY}
    for operation in operations:
        matrix = np.asarray(operation, dtype=float)
        if matrix.shape != (2, 2) or np.abs(matrix - np.rint(matrix)).max() > ROUNDING:
            raise InputError("symmetry: expected (2, 2) matrices of whole numbers that act on reciprocal vectors")
        large = scale[:, None] * matrix / scale[None]
        whole = np.rint(large).astype(np.int64)
        fits = np.abs(large - whole).max() < ROUNDING and np.abs(whole @ centre - centre).max() < ROUNDING
        if fits and np.allclose(whole.T @ metric @ whole, metric, rtol=LENGTHS, atol=LENGTHS * metric.min()):
            kept[whole.tobytes()] = whole
    group = np.stack(list(kept.values()))
    if not {(a @ b).tobytes() for a in group for b in group} <= set(kept):
        raise InputError("symmetry: the operations are no group")
    return group


def representatives(beams: IntArray, group: IntArray) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Which beams (n, 2) stand for all that the group maps them to, and the share of the group's images each counts.

    The sum over representatives and the group, each times its share, runs over every beam once.
    """
    images = np.einsum("gij,nj->gni", group, beams)
    first, second = images[..., 0], images[..., 1]
    # the largest of an orbit in lexical order
    later = (first > beams[:, 0]) | ((first == beams[:, 0]) & (second > beams[:, 1]))
    fixed = (images == beams[None]).all(axis=-1).sum(axis=0)
    return ~later.any(axis=0), 1.0 / fixed
