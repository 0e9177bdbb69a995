"""Potentials of `rhotem distil`'s shape by compiled kernels: what ``nep-adapters`` gives, in half of the time.

Neighbours are listed with a margin and listed again when an atom has moved half of it. The repulsion of nuclei is
tabulated from ``nep-adapters`` itself, pair by pair of elements.
"""

# mypy: disable-error-code="no-untyped-def"
# compiled: numba finds the types

import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt
from ase.stress import full_3x3_to_voigt_6_stress
from scipy.spatial import cKDTree

from rhotem.battery.distillation.gradient import PAIRS, evaluate_atom, pull, push, room
from rhotem.battery.distillation.parameters import Parameters
from rhotem.core import InputError
from rhotem.core.compiled import compiled

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Å beyond the reach of pairs that neighbours are listed to.
MARGIN = 1.0
#: Å: distances of the table of repulsion, from the first to beyond where it ends, and between them.
NEAREST, FARTHEST, APART = 0.4, 2.0, 0.001
#: Å between pairs that do not feel each other.
FREE = 8.0


class Quick:
    """Energy, forces and stress of frames, one after another.

    Parameters
    ----------
    parameters : Parameters
    table : array
        Repulsion of nuclei, (kinds, kinds, distances, 2).
    """

    def __init__(self, parameters: Parameters, table: Array) -> None:
        self.parameters, self.table = parameters, table
        self.order = {symbol: n for n, symbol in enumerate(parameters.elements)}
        self.listed: _Listed | None = None

    def results(self, atoms: ase.Atoms) -> dict[str, Any] | None:
        """What an ASE calculator keeps; None where nuclei are so close that no table has them."""
        if self.listed is None or not self.listed.holds(atoms):
            self.listed = _Listed(atoms, self.order)
        near, p = self.listed, self.parameters
        vectors = np.empty((len(near.others), 3))
        _vectors(atoms.positions, atoms.cell.array, near.first, near.others, near.shifts, vectors)
        forces, strain, shares = np.zeros((len(atoms), 3)), np.zeros((3, 3)), np.zeros(len(atoms))
        neighbours = (near.kinds, near.first, near.others, vectors)
        if not _moved(neighbours, p.scale, p.parts(), self.table, (forces, strain, shares)):
            return None
        shares -= p.constant
        stress = 0.5 * (strain + strain.T) / atoms.get_volume()
        energy = float(shares.sum())
        return {
            "energy": energy,
            "free_energy": energy,
            "energies": shares,
            "forces": forces,
            "stress": full_3x3_to_voigt_6_stress(stress),
        }


class _Listed:
    """Neighbours of atoms within the reach of pairs and a margin."""

    def __init__(self, atoms: ase.Atoms, kinds: dict[str, int]) -> None:
        self.kinds = np.array([kinds[symbol] for symbol in atoms.symbols], dtype=np.int64)
        self.numbers, self.positions, self.cell = atoms.numbers.copy(), atoms.positions.copy(), atoms.cell.array.copy()
        inverse, reach = np.linalg.inv(self.cell), PAIRS + MARGIN
        fractional = self.positions @ inverse
        home = np.floor(fractional)
        # planes of the cell are 1 / |column of the inverse| apart
        margin = reach * np.linalg.norm(inverse, axis=0)
        sides = [np.arange(-n, n + 1) for n in np.ceil(margin).astype(int)]
        steps = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)
        everywhere = (fractional - home)[None] + steps[:, None]
        copy, atom = np.nonzero(((everywhere > -margin) & (everywhere < 1.0 + margin)).all(axis=2))
        inside = cKDTree((fractional - home) @ self.cell)
        pairs = inside.sparse_distance_matrix(cKDTree(everywhere[copy, atom] @ self.cell), reach, output_type="ndarray")
        i, j = pairs["i"], pairs["j"]
        kept = (atom[j] != i) | steps[copy[j]].any(axis=1)
        i, j = i[kept], j[kept]
        others, shifts = atom[j].astype(np.int64), (steps[copy[j]] - home[atom[j]] + home[i]).astype(np.int64)
        # sums of a run must not depend on when neighbours were listed last
        shifted = shifts - shifts.min(axis=0, initial=0)
        wide = shifted.max(axis=0, initial=0) + 1
        key = ((i * len(atoms) + others) * wide[0] + shifted[:, 0]) * wide[1] + shifted[:, 1]
        order = np.argsort(key * wide[2] + shifted[:, 2])
        i, self.others, self.shifts = i[order], others[order], shifts[order].astype(float)
        self.first: Ints = np.searchsorted(i, np.arange(len(atoms) + 1)).astype(np.int64)

    def holds(self, atoms: ase.Atoms) -> bool:
        """Whether no pair can have come within reach since."""
        if len(atoms) != len(self.numbers) or not np.array_equal(atoms.cell.array, self.cell):
            return False
        moved = np.square(atoms.positions - self.positions).sum(axis=1).max()
        return bool(moved < (0.5 * MARGIN) ** 2 and np.array_equal(atoms.numbers, self.numbers))


def quick(path: Path, symbols: Sequence[str], engine: Any) -> Quick | None:
    """The potential of a file; None where that is of another shape than `rhotem distil` makes."""
    try:
        parameters = Parameters.read(path, symbols)
    except (InputError, ValueError, IndexError):
        return None
    return Quick(parameters, _table(tuple(symbols), engine))


@lru_cache(maxsize=8)
def _table(symbols: tuple[str, ...], engine: Any) -> Array:
    """Repulsion of nuclei by kinds and distance: energy (eV) and slope (eV/Å), (kinds, kinds, distances, 2)."""
    count = round((FARTHEST - NEAREST) / APART) + 1
    distances = NEAREST + APART * np.arange(count)
    table = np.zeros((len(symbols), len(symbols), count, 2))
    with tempfile.TemporaryDirectory() as folder:
        nothing = Path(folder) / "repulsion.txt"
        nothing.write_text(Parameters.zero(symbols).text())
        alone = engine(nothing)
        for a, one in enumerate(symbols):
            for b, other in enumerate(symbols[: a + 1]):
                places = np.zeros((count, 2, 3))
                places[:, :, 1], places[:, 1, 0] = FREE * np.arange(count)[:, None], distances
                pairs = ase.Atoms(
                    [one, other] * count, places.reshape(-1, 3), cell=[FREE, FREE * count, FREE], pbc=True
                )
                found = alone.predict_structures([pairs])
                table[a, b, :, 0] = np.asarray(found.potential, dtype=float).reshape(count, 2).sum(axis=1)
                table[a, b, :, 1] = np.asarray(found.forces, dtype=float).reshape(count, 2, 3)[:, 0, 0]
                table[b, a] = table[a, b]
    return table


@compiled(exact=True)
def _vectors(positions, cell, first, others, shifts, vectors):
    for i in range(len(first) - 1):
        for m in range(first[i], first[i + 1]):
            j = others[m]
            for c in range(3):
                vectors[m, c] = (
                    positions[j, c]
                    - positions[i, c]
                    + shifts[m, 0] * cell[0, c]
                    + shifts[m, 1] * cell[1, c]
                    + shifts[m, 2] * cell[2, c]
                )


@compiled
def _repelled(r, values):
    """Energy and slope between two distances of the table, by the cubic through both ends' energies and slopes."""
    place = (r - NEAREST) / APART
    k = min(int(place), len(values) - 2)
    t, h = place - k, APART
    e0, d0, e1, d1 = values[k, 0], values[k, 1] * h, values[k + 1, 0], values[k + 1, 1] * h
    b, c = 3.0 * (e1 - e0) - 2.0 * d0 - d1, 2.0 * (e0 - e1) + d0 + d1
    return e0 + t * (d0 + t * (b + t * c)), (d0 + t * (2.0 * b + 3.0 * t * c)) / h


@compiled
def _moved(neighbours, scale, parts, table, motion):
    """Forces (eV/Å), derivative with respect to the strain (eV) and atoms' energies (eV, without the constant).

    False, and nothing of use, where two nuclei are closer than the table begins.
    """
    kinds, first, others, vectors = neighbours
    forces, strain, shares = motion
    most = max(1, np.max(first[1:] - first[:-1]))
    within, nothing = room(parts[3].shape[0], most), (np.empty((0, 0, 0)), np.empty((0, 0)), np.empty((0, 0)))
    distances = within[0][0]
    near, theirs = np.empty((most, 3)), np.empty(most, dtype=np.int64)
    for i in range(len(kinds)):
        a, count = kinds[i], 0
        for m in range(first[i], first[i + 1]):
            x, y, z = vectors[m, 0], vectors[m, 1], vectors[m, 2]
            if x * x + y * y + z * z < PAIRS * PAIRS:
                near[count, 0], near[count, 1], near[count, 2], theirs[count] = x, y, z, others[m]
                count += 1
        around, there = near[:count], theirs[:count]
        kinds_there = kinds[there]
        shares[i] += evaluate_atom(a, (around, kinds_there), scale, parts, nothing, within)
        pulls = pull(a, kinds_there, parts, within)
        for m in range(count):
            r = distances[m, 3]
            if r < FARTHEST:
                if r < NEAREST:
                    return False
                energy, rate = _repelled(r, table[a, kinds_there[m]])
                shares[i] += 0.5 * energy
                for c in range(3):
                    pulls[m, c] += 0.5 * rate * distances[m, c]
        push(i, there, around, pulls, forces, strain)
    return True
