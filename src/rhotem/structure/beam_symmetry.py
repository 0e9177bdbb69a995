"""Symmetry of a crystal seen along the beam: what leaves the beam and both surfaces of a specimen as they are."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.structure.indices import SYMPREC, is_translation, primes, symmetry
from rhotem.structure.model import Structure

#: Fractional tolerance of translations along the beam.
TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation across the beam.

    Parameters
    ----------
    matrix : (2, 2) int array
        Where it takes reciprocal vectors of the imaging cell, as columns.
    shift : (2,) array
        Its translation in fractions of that cell: ``V(matrix @ h) = V(h) exp(2πi h·shift)`` for Fourier coefficients.
    """

    matrix: npt.NDArray[np.int64]
    shift: npt.NDArray[np.float64]


def beam_symmetry(structure: Structure) -> list[Operation]:
    """Rotations, mirrors and glides of an orthogonal cell that keep the direction and the height along z.

    Two-fold axes and mirrors across the beam, and screws along it, change the surfaces: they are left out. Atoms with
    different magnetic moments are different. Of P1, and of cells too large to be searched, the identity.
    """
    found = symmetry(structure)
    every = {np.eye(2, dtype=np.int64).tobytes(): Operation(np.eye(2, dtype=np.int64), np.zeros(2))}
    if found is None:
        return list(every.values())
    for rotation, shift in zip(found.rotations, found.translations, strict=True):
        along = rotation[2, 2] == 1 and not rotation[2, :2].any() and not rotation[:2, 2].any()
        if along and abs(shift[2] - np.rint(shift[2])) < TOLERANCE:
            matrix = np.ascontiguousarray(rotation[:2, :2].T, dtype=np.int64)
            every.setdefault(matrix.tobytes(), Operation(matrix, np.asarray(shift[:2], dtype=float)))
    return list(every.values())


def lateral_translations(structure: Structure) -> npt.NDArray[np.float64]:
    """Translations (n, 2) across the beam that take an orthogonal cell to itself, fractions of it, that by 0 first.

    Those that move atoms along the beam, too, change where a specimen begins: they are left out.
    """
    found = symmetry(structure)
    if found is None:
        return np.zeros((1, 2))
    unturned = (found.rotations == np.eye(3, dtype=int)).all(axis=(1, 2))
    moves = found.translations[unturned]
    level = np.abs(moves[:, 2] - np.rint(moves[:, 2])) < TOLERANCE
    return np.array(sorted((moves[level, :2].round(9) % 1.0).tolist()))


def beam_period(structure: Structure) -> float:
    """Shortest translation along z in Å that repeats the atoms of an orthogonal cell, whatever their moments.

    It is a part 1/n of the cell, where n divides the number of atoms of every kind. Lattice translations along one line
    are a cyclic group, so that primes are tried one after another. Laue zones lie its inverse apart.
    """
    numbers = structure.numbers
    lattice, fractional = structure.cell, structure.atoms.get_scaled_positions(wrap=True)
    most, parts = int(np.gcd.reduce(np.bincount(numbers))), 1
    for prime in primes(most):
        while most % (parts * prime) == 0:
            shift = np.array([0.0, 0.0, 1.0 / (parts * prime)])
            if not is_translation(lattice, fractional, numbers, shift, 2.0 * SYMPREC):
                break
            parts *= prime
    return float(lattice[2, 2]) / parts


def deviation(operation: Operation, slices: npt.NDArray[np.floating]) -> float:
    """Deviation of slices (n, nx, ny) from a symmetry, over their largest Fourier coefficient beside that of h = 0."""
    values = np.fft.fft2(slices)
    values[:, 0, 0] = 0.0
    half = np.array(slices.shape[1:]) // 2
    axes = (np.arange(1 - n, n) for n in half)
    h = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    image = h @ operation.matrix.T
    inside = (np.abs(image) < half).all(axis=1)
    h, image = h[inside], image[inside]
    turned = values[:, h[:, 0], h[:, 1]] * np.exp(2j * np.pi * (h @ operation.shift))
    largest = float(np.abs(values).max())
    difference = float(np.abs(values[:, image[:, 0], image[:, 1]] - turned).max())
    return difference / largest if largest > 0 else 0.0
