"""Neighbours by cell lists, and which atoms have the same surroundings. Compiled; linear in the atoms."""

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.compiled import compiled

#: Atoms nearer than this (Å) are no structure a density can be learned for.
CLOSEST = 0.5
#: Vectors to neighbours that differ by less than this (Å) are the same.
SAME = 1e-6
#: Bins along an axis at most: bounds memory in huge empty cells.
BINS = 256

Triple = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


class Neighbours:
    """Neighbours within a cutoff in a periodic cell, found when asked for.

    Parameters
    ----------
    positions : (N, 3) array
        Å, anywhere.
    cell : (3, 3) array
    cutoff : float
        Å.

    Raises
    ------
    InputError
        If there are no atoms, positions are not finite, or the cell has no volume.
    """

    def __init__(self, positions: npt.ArrayLike, cell: npt.ArrayLike, cutoff: float) -> None:
        r = np.asarray(positions, dtype=float).reshape(-1, 3)
        self.cell, self.cutoff = np.array(cell, dtype=float), cutoff
        if len(r) == 0:
            raise InputError("model: the structure has no atoms; give at least one")
        if not np.isfinite(r).all():
            raise InputError("model: positions are not finite numbers; check the structure file")
        if not abs(np.linalg.det(self.cell.reshape(3, 3))) > 1e-6:
            raise InputError("model: the cell has no volume; give three lattice vectors, with vacuum for a molecule")
        inverse = np.linalg.inv(self.cell)
        fractional = r @ inverse
        fractional -= np.floor(fractional)
        heights = 1.0 / np.linalg.norm(inverse, axis=0)
        most = max(1, min(BINS, int(np.ceil(2.0 * len(r) ** (1.0 / 3.0) * max(heights) / min(heights)))))
        self.bins = np.clip((heights / cutoff).astype(np.int64), 1, most)
        self.reach = np.ceil(cutoff * self.bins / heights - 1e-12).astype(np.int64)
        triple = np.minimum((fractional * self.bins).astype(np.int64), self.bins - 1)
        self.bin_of = triple
        flat = (triple[:, 0] * self.bins[1] + triple[:, 1]) * self.bins[2] + triple[:, 2]
        #: atoms by bin: neighbours in space are near each other in this order
        self.order = np.argsort(flat, kind="stable")
        self.starts = np.searchsorted(flat[self.order], np.arange(int(np.prod(self.bins)) + 1))
        self.positions = fractional @ self.cell

    def around(self, atoms: npt.NDArray[np.int64]) -> Triple:
        """Neighbours of ``atoms``: starts (M + 1,), atoms (E,), vectors (E, 3) in Å from the centre.

        Raises
        ------
        InputError
            If two atoms are closer than 0.5 Å.
        """
        lists = (self.order, self.starts, self.bin_of, self.bins, self.reach)
        counts = np.zeros(len(atoms), dtype=np.int64)
        nothing, none = np.empty(0, dtype=np.int64), np.empty((0, 3))
        closest = _search(atoms, self.positions, self.cell, lists, self.cutoff, (counts, nothing, nothing, none))
        if closest[0] < CLOSEST:
            raise InputError(
                f"model: atoms {int(closest[1])} and {int(closest[2])} are {closest[0]:.2f} Å apart, expected at least "
                f"{CLOSEST} Å; check the cell and duplicated sites"
            )
        starts = np.concatenate([[0], np.cumsum(counts)])
        neighbour = np.empty(starts[-1], dtype=np.int64)
        vectors = np.empty((starts[-1], 3))
        _search(atoms, self.positions, self.cell, lists, self.cutoff, (counts, starts, neighbour, vectors))
        return starts, neighbour, vectors


def same_surroundings(
    neighbours: Neighbours, kinds: npt.NDArray[np.int64], at_once: int = 20_000
) -> npt.NDArray[np.int64]:
    """Class of every atom: equal where the atom's kind and the kinds and vectors of its neighbours are equal.

    Applied n times, starting from elements, atoms of one class have the same surroundings as far as n exchanges of
    messages see. Surroundings turned against each other are different.
    """
    codes = np.empty(len(kinds), dtype=np.uint64)
    for start in range(0, len(kinds), at_once):
        atoms = np.arange(start, min(start + at_once, len(kinds)))
        starts, neighbour, vectors = neighbours.around(atoms)
        _code(kinds[atoms], starts, kinds[neighbour], vectors, codes[atoms[0] : atoms[-1] + 1])
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


@compiled(exact=True)
def _search(atoms, positions, cell, lists, cutoff, out):  # type: ignore[no-untyped-def]  # compiled
    """Numbers of neighbours of atoms, and these where there is room for them; the smallest distance and its two atoms.

    ``out``: ``counts`` (M,), written; ``starts`` (M + 1,), ``neighbour`` (E,) and ``vectors`` (E, 3), written unless
    they are empty.
    """
    counts, starts, neighbour, vectors = out
    order, first, bin_of, bins, reach = lists
    closest = np.array([1e24, 0.0, 0.0])
    limit = cutoff * cutoff
    for m in range(len(atoms)):
        atom, found = atoms[m], 0
        x, y, z = positions[atom, 0], positions[atom, 1], positions[atom, 2]
        for d0 in range(-reach[0], reach[0] + 1):
            b0 = bin_of[atom, 0] + d0
            s0 = b0 // bins[0]
            for d1 in range(-reach[1], reach[1] + 1):
                b1 = bin_of[atom, 1] + d1
                s1 = b1 // bins[1]
                for d2 in range(-reach[2], reach[2] + 1):
                    b2 = bin_of[atom, 2] + d2
                    s2 = b2 // bins[2]
                    index = ((b0 - s0 * bins[0]) * bins[1] + b1 - s1 * bins[1]) * bins[2] + b2 - s2 * bins[2]
                    tx = s0 * cell[0, 0] + s1 * cell[1, 0] + s2 * cell[2, 0] - x
                    ty = s0 * cell[0, 1] + s1 * cell[1, 1] + s2 * cell[2, 1] - y
                    tz = s0 * cell[0, 2] + s1 * cell[1, 2] + s2 * cell[2, 2] - z
                    for k in range(first[index], first[index + 1]):
                        other = order[k]
                        vx, vy, vz = positions[other, 0] + tx, positions[other, 1] + ty, positions[other, 2] + tz
                        squared = vx * vx + vy * vy + vz * vz
                        if squared > limit or (other == atom and s0 == 0 and s1 == 0 and s2 == 0):
                            continue
                        if squared < closest[0]:
                            closest[0], closest[1], closest[2] = squared, atom, other
                        if len(neighbour):
                            e = starts[m] + found
                            neighbour[e] = other
                            vectors[e, 0], vectors[e, 1], vectors[e, 2] = vx, vy, vz
                        found += 1
        counts[m] = found
    closest[0] = np.sqrt(closest[0])
    return closest


@compiled(exact=True)
def _mix(x):  # type: ignore[no-untyped-def]  # compiled
    """A 64-bit finaliser (splitmix64): equal sums of mixed words mean equal sets, but for chance."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled(exact=True)
def _code(own, starts, kinds, vectors, codes):  # type: ignore[no-untyped-def]  # compiled
    for m in range(len(own)):
        total = _mix(np.uint64(own[m] + 1))
        for e in range(starts[m], starts[m + 1]):
            word = np.uint64(kinds[e] + 1)
            for axis in range(3):
                step = np.int64(np.rint(vectors[e, axis] / SAME))
                word = _mix(word * np.uint64(0x9E3779B97F4A7C15) + np.uint64(step))
            total += word
        codes[m] = _mix(total)
