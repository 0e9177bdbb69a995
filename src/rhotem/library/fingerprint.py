"""A vector of numbers that tells crystals apart whatever their cell: for search by similar structure."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rhotem.structure.model import Structure

#: Distances in units of the cube root of the volume per atom: the farthest, their number, and their blur.
FARTHEST, BINS, BLUR = 2.6, 40, 0.07
#: Atoms of a cell whose surroundings are looked at; of larger ones as many evenly through the list.
MOST = 400
#: Length of the vector.
LENGTH = 3 * BINS


def fingerprint(structure: "Structure") -> npt.NDArray[np.float32]:
    """Three radial distributions of a crystal, (120,), of length one each but for their weights.

    Distances are counted in units of the cube root of the volume per atom, so that a strained or substituted crystal
    is near its parent: of all pairs, weighted by the product of atomic numbers over their mean square, and by the
    difference of atomic numbers over their mean. A cell, its supercell and its mirror image have the same.
    """
    from ase.neighborlist import neighbor_list

    atoms = structure.atoms
    unit = (structure.volume / len(structure)) ** (1 / 3)
    periodic = atoms.copy()
    periodic.pbc = True
    first, second, distance = neighbor_list("ijd", periodic, (FARTHEST + 3 * BLUR) * unit)
    if len(structure) > MOST:
        kept = np.isin(first, np.linspace(0, len(structure) - 1, MOST).astype(int))
        first, second, distance = first[kept], second[kept], distance[kept]
    z = structure.numbers.astype(float)
    mean = z.mean()
    weights = np.stack(
        [np.ones(len(first)), z[first] * z[second] / mean**2, np.abs(z[first] - z[second]) / mean], axis=1
    )
    centres = np.linspace(0.3, FARTHEST, BINS)
    shells = np.exp(-0.5 * ((distance[:, None] / unit - centres) / BLUR) ** 2) / (distance[:, None] / unit) ** 2
    vector = (weights.T @ shells).ravel()
    length = float(np.linalg.norm(vector))
    return (vector / length if length > 0 else vector).astype(np.float32)
