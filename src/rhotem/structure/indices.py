"""Crystallographic indices: the standard cell of a crystal, directions and planes in it, and how they are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.displacement_tensors import class_means
from rhotem.structure.model import Structure

#: Distance in Å within which atoms count as symmetry-equivalent; CIF coordinates rounded to three decimals pass.
SYMPREC = 0.01
#: Atoms from which on symmetry is looked for only where translations repeat them; atoms they are tried on at once.
LARGE, AT_ONCE = 5000, 500
#: Indices beyond which the search for an orthogonal cell takes minutes and ends without one.
LARGEST_INDEX = 1000

Ints = npt.NDArray[np.int64]
Indices = Sequence[int] | npt.NDArray[np.int64]
Rational = tuple[tuple[Fraction, ...], ...]


@dataclass(frozen=True, eq=False)
class NamedCell:
    """A cell that gives directions their names, expressed exactly in the vectors of the cell that is worked with.

    Parameters
    ----------
    cell : (3, 3) array
        Its vectors in Å, rows, in the Cartesian frame of the structure and not idealised.
    rows : 3 x 3 nested tuple of Fraction
        ``cell = rows @ structure.cell``.
    number : int
        Space-group number.
    symbol : str
        International short symbol.
    """

    cell: npt.NDArray[np.float64]
    rows: Rational
    number: int
    symbol: str

    @property
    def hexagonal(self) -> bool:
        """Whether a = b, α = β = 90°, γ = 120° within 1 %, so that four indices make sense."""
        lengths = np.linalg.norm(self.cell, axis=1)
        unit = self.cell / lengths[:, None]
        cosines = np.array([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1] + 0.5])
        return bool(abs(lengths[0] / lengths[1] - 1) < 0.01 and np.abs(cosines).max() < 0.01)

    def direction_to_structure(self, uvw: Indices) -> Ints:
        """Coprime indices, in the structure's vectors, of the direction [uvw] of this cell."""
        return coprime(_times(uvw, self.rows))

    def direction_from_structure(self, uvw: Indices) -> Ints:
        """Coprime indices, in this cell, of the direction [uvw] of the structure's vectors."""
        return coprime(_times(uvw, inverse(self.rows)))

    def plane_to_structure(self, hkl: Indices) -> Ints:
        """Coprime indices, in the structure's vectors, of the plane (hkl) of this cell."""
        return coprime(_times(hkl, _transposed(inverse(self.rows))))

    def plane_from_structure(self, hkl: Indices) -> Ints:
        """Coprime indices, in this cell, of the plane (hkl) of the structure's vectors."""
        return coprime(_times(hkl, _transposed(self.rows)))

    def right_angles(self) -> Ints:
        """Three lattice directions, in the structure's vectors, as near to right angles as the axes allow; rows."""
        directions = [(1, 0, 0), (1, 2, 0) if self.hexagonal else (0, 1, 0), (0, 0, 1)]
        return np.stack([self.direction_to_structure(direction) for direction in directions])

    def seen_from(self, reduced: Rational) -> "NamedCell":
        """The same cell in the vectors of another structure, ``reduced @ structure.cell``."""
        rows = tuple(tuple(_times(row, inverse(reduced))) for row in self.rows)
        return NamedCell(self.cell, rows, self.number, self.symbol)


IDENTITY: Rational = tuple(tuple(Fraction(int(i == j)) for j in range(3)) for i in range(3))


def spglib_cell(structure: Structure) -> tuple:
    """``(lattice, fractional positions, types)`` for spglib; atoms with different moments are different types."""
    atoms = structure.atoms
    moments = np.zeros(len(atoms)) if structure.moments is None else np.round(structure.moments, 3)
    kinds = {key: i for i, key in enumerate(sorted(set(zip(atoms.numbers.tolist(), moments.tolist(), strict=True))))}
    types = [kinds[key] for key in zip(atoms.numbers.tolist(), moments.tolist(), strict=True)]
    return atoms.cell.array, atoms.get_scaled_positions(wrap=True), types


def standard_cell(structure: Structure, symprec: float = SYMPREC) -> NamedCell:
    """The conventional standard cell of ``structure`` in the structure's own Cartesian frame.

    spglib idealises and rotates its standard cell; here only its *choice of vectors* is used, so that a direction keeps
    its Cartesian meaning. If spglib finds nothing, or no symmetry (P1), the input cell itself is the standard one.
    A structure made from another by ordering, substitution or defects keeps the names of its parent (`with_parent`).
    """
    parent = _parent_cell(structure)
    if parent is not None:
        return parent
    dataset = symmetry(structure, symprec)
    if dataset is None or dataset.number == 1:
        return NamedCell(structure.cell.copy(), IDENTITY, 1, "P1")
    # spglib: (a_s b_s c_s) = (a b c) P^-1 with vectors as columns, so rows of (P^-1)^T.
    values = np.linalg.inv(np.asarray(dataset.transformation_matrix)).T
    rows = tuple(tuple(Fraction(float(x)).limit_denominator(240) for x in row) for row in values)
    exact = as_floats(rows)
    if np.abs(exact - values).max() > 1e-4 or abs(np.linalg.det(exact)) < 1e-9:
        raise InputError(
            f"symmetry of {structure.atoms.get_chemical_formula()}: the standard cell is no rational cell of the input;"
            " use directions of the input cell (--zone-basis input)"
        )
    return NamedCell(exact @ structure.cell, rows, int(dataset.number), str(dataset.international))


def with_parent(info: dict, parent: Structure) -> dict:
    """``info`` of a structure made from ``parent`` in the same frame: directions keep the names they have there."""
    if "parent_cell" in info:
        return info
    named = standard_cell(parent)
    return {**info, "parent_cell": named.cell.tolist(), "parent_space_group": [named.number, named.symbol]}


def _parent_cell(structure: Structure) -> NamedCell | None:
    """The parent's standard cell, if the structure has one and its cell is made of the parent's lattice."""
    if "parent_cell" not in structure.info:
        return None
    cell = np.array(structure.info["parent_cell"], dtype=float)
    values = cell @ np.linalg.inv(structure.cell)
    rows = tuple(tuple(Fraction(float(x)).limit_denominator(1000) for x in row) for row in values)
    if np.abs((as_floats(rows) - values) @ structure.cell).max() > 1e-3:
        return None
    number, symbol = structure.info.get("parent_space_group", (0, ""))
    return NamedCell(as_floats(rows) @ structure.cell, rows, int(number), str(symbol))


def primitive_cell(structure: Structure, symprec: float = SYMPREC) -> tuple[Structure, Rational]:
    """The smallest cell that repeats, in the input's Cartesian frame, and its vectors in units of the input's.

    Charge is divided, moments are kept, displacements averaged over translated copies. The first atom of each class of
    those stays where it is.
    """
    dataset = symmetry(structure, symprec)
    if dataset is None:
        return structure, IDENTITY
    pure = [t for r, t in zip(dataset.rotations, dataset.translations, strict=True) if np.array_equal(r, np.eye(3))]
    copies = len(pure)
    if copies == 1:
        return structure, IDENTITY
    # in units of 1/copies every translation is whole; triangularise them together with the lattice itself
    work = np.vstack([copies * np.eye(3), np.rint(np.array(pure) * copies) % copies]).astype(np.int64)
    rows = triangle(work)
    from ase.geometry import minkowski_reduce

    _, change = minkowski_reduce(rows / copies @ structure.cell)
    rows = np.asarray(change, dtype=np.int64) @ rows
    exact = tuple(tuple(Fraction(int(x), copies) for x in row) for row in rows)
    cell = as_floats(exact) @ structure.cell
    if abs(abs(np.linalg.det(cell)) * copies - structure.volume) > 1e-3 * structure.volume:
        return structure, IDENTITY  # translations within tolerance that do not form a group
    if np.linalg.det(cell) < 0:
        cell, exact = -cell, tuple(tuple(-x for x in row) for row in exact)
    keep = np.unique(dataset.mapping_to_primitive, return_index=True)[1]
    keep.sort()
    atoms = structure.atoms[keep]
    atoms.set_cell(cell, scale_atoms=False)
    atoms.wrap(eps=1e-6)
    moments = None if structure.moments is None else structure.moments[keep]
    motion = class_means(structure.displacements, dataset.mapping_to_primitive, keep)
    return Structure(atoms, structure.charge / copies, moments, dict(structure.info), motion), exact


def symmetry(structure: Structure, symprec: float = SYMPREC) -> Any:
    """Spglib's dataset of ``structure``, or None if it finds no symmetry at all.

    Nor is any looked for in more than `LARGE` atoms without a translation that repeats them (`is_too_large`).
    """
    import spglib

    if is_too_large(structure, symprec):
        return None
    try:
        return spglib.get_symmetry_dataset(spglib_cell(structure), symprec=symprec)
    except Exception as error:  # newer spglib raises its own error class where older ones returned None
        if type(error).__module__.startswith("spglib"):
            return None
        raise


def is_too_large(structure: Structure, symprec: float = SYMPREC) -> bool:
    """Whether there are more than `LARGE` atoms and no translation repeats them: a search for symmetry would go on.

    Spglib tries N/k translations on N atoms: a crystal is found at once, 12,000 atoms with vacancies take it half a
    minute, ten times as many an hour. If translations repeat a cell, one of prime order p does: p divides the number of
    atoms of every kind, and the vector is a p-th of a lattice vector. So few are left to be tried.
    """
    if len(structure) <= LARGE:
        return False
    lattice, fractional, types = spglib_cell(structure)
    kinds = np.array(types)
    number = np.bincount(kinds)
    rarest = fractional[kinds == np.argmin(number)]
    for prime in primes(int(np.gcd.reduce(number))):
        steps = (rarest[1:] - rarest[0]) * prime
        near = np.linalg.norm((steps - np.rint(steps)) @ lattice / prime, axis=1) < 2.0 * symprec
        for shift in np.unique(np.rint(steps[near]) % prime, axis=0) / prime:
            if is_translation(lattice, fractional, kinds, shift, 2.0 * symprec):
                return False
    return True


def is_translation(
    lattice: npt.NDArray[np.float64],
    fractional: npt.NDArray[np.float64],
    kinds: npt.NDArray[np.int64],
    shift: npt.NDArray[np.float64],
    tolerance: float,
) -> bool:
    """Whether a translation (fractional) takes every atom to one of its kind, within ``tolerance`` (Å)."""
    from scipy.spatial import cKDTree

    sides = np.linalg.norm(lattice, axis=1)
    for kind in np.unique(kinds):
        own = fractional[kinds == kind] % 1.0 % 1.0
        tree = cKDTree(own * sides, boxsize=sides)
        for start in range(0, len(own), AT_ONCE):
            moved = (own[start : start + AT_ONCE] + shift) % 1.0 % 1.0
            apart = own[tree.query(moved * sides)[1]] - moved
            if np.linalg.norm((apart - np.rint(apart)) @ lattice, axis=1).max() > tolerance:
                return False
    return True


def primes(number: int) -> list[int]:
    """Prime factors."""
    found, p = [], 2
    while number > 1:
        if number % p == 0:
            found.append(p)
        while number % p == 0:
            number //= p
        p = p + 1 if p * p <= number else max(number, 2)
    return found


def coprime(values: Sequence[Fraction | int]) -> Ints:
    """The smallest integers in the same ratio as ``values``, signs kept."""
    fractions = [Fraction(v) for v in values]
    scale = lcm(*(f.denominator for f in fractions))
    integers = [int(f * scale) for f in fractions]
    divisor = gcd(*integers) or 1
    return np.array([i // divisor for i in integers], dtype=np.int64)


def three_indices(indices: Indices, plane: bool, hexagonal: bool) -> tuple[Ints, tuple[str, ...]]:
    """Direction [uvw] or plane (hkl) with coprime indices from three or four given ones, and remarks about it.

    Four indices are Weber's [uvtw] for directions and Bravais–Miller (hkil) for planes; the third must be minus the sum
    of the first two.

    Raises
    ------
    InputError
        If the indices are not whole, all zero, not 3 or 4, or 4 for a cell that is not hexagonal.
    """
    name = "plane" if plane else "zone axis"
    try:
        given = [int(i) for i in indices]
        whole = all(float(i) == int(i) for i in indices)
    except (TypeError, ValueError):
        given, whole = [], False
    text = ",".join(str(i) for i in indices)
    if not whole or len(given) not in (3, 4):
        raise InputError(f"{name} {text}: expected three whole numbers (u,v,w), or four for a hexagonal cell")
    if not any(given):
        raise InputError(f"{name} {text} is no direction; give at least one index that is not zero")
    if max(map(abs, given)) > LARGEST_INDEX:
        raise InputError(f"{name} {text}: indices are {LARGEST_INDEX} at most")
    notes: tuple[str, ...] = ()
    result = np.array(given, dtype=np.int64)
    if len(given) == 4:
        if not hexagonal:
            raise InputError(f"{name} {text}: four indices need a hexagonal cell; give three")
        u, v, t, w = given
        if u + v + t != 0:
            raise InputError(f"{name} {text}: the third of four indices must be minus the sum of the first two")
        result = np.array([u, v, w] if plane else [2 * u + v, u + 2 * v, w], dtype=np.int64)
    reduced = coprime(result.tolist())
    if len(given) == 3 and not np.array_equal(reduced, result):
        notes = (f"{name} {text} has a common factor; {','.join(str(i) for i in reduced)} is used",)
    return reduced, notes


def label(indices: Indices, brackets: str = "[]") -> str:
    """Indices as they are printed: ``[1-10]``, separated by spaces where one has two digits."""
    separator = " " if any(abs(int(i)) > 9 for i in indices) else ""
    return brackets[0] + separator.join(str(int(i)) for i in indices) + brackets[1]


def triangle(rows: Ints) -> Ints:
    """Upper triangular 3 x 3 integer matrix whose rows span the same lattice as the given ones."""
    work = [[int(x) for x in row] for row in rows]
    for column in range(3):
        while True:
            used = [r for r in range(column, len(work)) if work[r][column] != 0]
            pivot = min(used, key=lambda r: abs(work[r][column]))
            work[column], work[pivot] = work[pivot], work[column]
            if len(used) == 1:
                break
            for r in range(column + 1, len(work)):
                factor = work[r][column] // work[column][column]
                work[r] = [x - factor * y for x, y in zip(work[r], work[column], strict=True)]
    return np.array(work[:3], dtype=np.int64)


def as_floats(rows: Rational) -> npt.NDArray[np.float64]:
    """A rational matrix as floating-point numbers."""
    return np.array([[float(x) for x in row] for row in rows])


def inverse(m: Rational) -> Rational:
    """Exact inverse of a rational 3 x 3 matrix."""
    cofactors = [
        [
            m[(j + 1) % 3][(i + 1) % 3] * m[(j + 2) % 3][(i + 2) % 3]
            - m[(j + 1) % 3][(i + 2) % 3] * m[(j + 2) % 3][(i + 1) % 3]
            for j in range(3)
        ]
        for i in range(3)
    ]
    determinant = sum((m[0][i] * cofactors[i][0] for i in range(3)), Fraction(0))
    return tuple(tuple(x / determinant for x in row) for row in cofactors)


def _times(row: Indices | Sequence[Fraction], matrix: Rational) -> list[Fraction]:
    return [sum((x * line[j] for x, line in zip(map(_exact, row), matrix, strict=True)), Fraction(0)) for j in range(3)]


def _exact(x: int | Fraction) -> int | Fraction:
    return x if isinstance(x, Fraction) else int(x)


def _transposed(m: Rational) -> Rational:
    return tuple(zip(*m, strict=True))
