"""From scattering matrices to the Hermitian forms of all parts of the diffraction plane."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.microscope.bloch import BeamGroup

Complex = npt.NDArray[np.complex64]
#: Beams whose intensities are held in double precision at a time.
ROWS = 32
IntArray = npt.NDArray[np.int64]
#: M and R of some pairs.
Forms = tuple[Complex, Complex]


@dataclass(frozen=True, eq=False)
class Beams:
    """Beams of the probe in blocks that interfere, and the pairs within blocks.

    Equal cells but for thermal motion give one mean image of one cell: only beams whose difference is a reciprocal
    vector of that cell add to it, so a κ of the potential's cell falls into as many blocks as that holds equal cells.

    Parameters
    ----------
    vectors : (n, 2) int array
        In units of the supercell's reciprocal cell, block after block.
    sizes : tuple of int
        Beams of each block.
    period : (int, int)
        The supercell in units of the cell that images show.
    """

    vectors: IntArray
    sizes: tuple[int, ...]
    period: tuple[int, int]

    @property
    def number(self) -> int:
        """Pairs i ≤ j."""
        return sum(n * (n + 1) // 2 for n in self.sizes)

    @property
    def starts(self) -> IntArray:
        """First pair of each block, and their number."""
        return np.cumsum([0, *(n * (n + 1) // 2 for n in self.sizes)])

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Places i ≤ j of all pairs, block after block."""
        first, second, start = [], [], 0
        for n in self.sizes:
            i, j = np.triu_indices(n)
            first.append(i + start)
            second.append(j + start)
            start += n
        return np.concatenate(first), np.concatenate(second)


@dataclass(frozen=True, eq=False)
class Twin:
    """What another configuration of the atoms would change, from one share of the κ that went through two.

    Parameters
    ----------
    rows : (m,) int array
        Pairs of that share.
    matrix : (thicknesses, columns, m) complex64 array
        One standard error of the whole M.
    rim : (thicknesses, 2, m) complex64 array
        The same of R.
    """

    rows: IntArray
    matrix: Complex
    rim: Complex

    @classmethod
    def of(cls, rows: IntArray, first: Forms, second: Forms, others: float, *, mean: bool = True) -> "Twin":
        """From the two configurations; ``others``: `rhotem.microscope.passes.twin_share`.

        ``first`` holds pairs ``rows`` of the one and becomes the twin, ``second`` all pairs with those of the other,
        which become the mean of both, or without ``mean`` those of the first.
        """
        scale = np.float32(np.sqrt((others - 0.5 * mean) / 2))
        for one, whole in zip(first, second, strict=True):
            for level, column in np.ndindex(one.shape[:2]):
                other = whole[level, column, rows]
                own = one[level, column]
                whole[level, column, rows] = 0.5 * (own + other) if mean else own
                one[level, column] -= other
            one *= scale
        return cls(rows, *first)


def blocks_of(group: BeamGroup, repeats: tuple[int, int]) -> list[npt.NDArray[np.intp]]:
    """Rows of the beams of one κ that interfere in the mean image of ``repeats`` equal cells."""
    classes = group.vectors % np.array(repeats)
    return [np.flatnonzero((classes == one).all(axis=1)) for one in np.unique(classes, axis=0)]


def forms(matrix: Complex, weights: npt.NDArray[np.float32]) -> Complex:
    """M of one block as (columns, pairs): ``Σ_G w(G) S(H, G) S*(H', G)`` for H ≤ H'.

    Parameters
    ----------
    matrix : (beams in, beams out) array
        S.
    weights : (beams out, columns) array
        Of disjoint parts of the diffraction plane: one product serves all of them together.
    """
    upper = np.triu_indices(len(matrix))
    result = np.empty((weights.shape[1], len(upper[0])), dtype=np.complex64)
    for column, weight in enumerate(weights.T):
        seen = np.flatnonzero(weight)
        part = matrix[:, seen]
        result[column] = ((part * weight[seen]) @ part.conj().T)[upper]
    result[:, upper[0] == upper[1]] = _intensities(matrix, weights).T
    return result


def _intensities(matrix: Complex, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """``Σ_G w(G) |S(H, G)|²`` (beams in, columns), summed in double precision.

    All of them add up to the mean of an image: what sums in single precision lose, some 1e-7 one way, would not average
    out there as it does between pairs.
    """
    exact, result = weights.astype(np.float64), np.empty((len(matrix), weights.shape[1]))
    for first in range(0, len(matrix), ROWS):
        rows = slice(first, first + ROWS)
        part = matrix[rows]
        result[rows] = (part.real.astype(np.float64) ** 2 + part.imag.astype(np.float64) ** 2) @ exact
    return result


def rims(matrix: Complex, direct: npt.NDArray[np.intp]) -> Complex:
    """``R(H, H') = S(H, p') S*(H', p')`` with p' the beam that H' becomes undeflected: (2, pairs), R_ij and R*_ji.

    ``direct`` are the places of these among the beams out.
    """
    upper = np.triu_indices(len(matrix))
    straight = matrix[:, direct]
    whole = straight * np.diagonal(straight).conj()
    return np.stack([whole[upper], whole.conj().T[upper]]).astype(np.complex64)
