"""A vector of numbers that tells crystals apart whatever their cell: for search by similar structure."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rhotem.structure.model import Structure

#: Distances in units of the mean distance of nearest neighbours: the farthest, their number, and their blur.
FARTHEST, BINS, BLUR = 3.0, 40, 0.08
#: Atoms of a cell whose surroundings are looked at; of larger ones as many evenly through the list.
MOST = 400
#: Length of the vector.
LENGTH = 3 * BINS


def fingerprint(structure: "Structure") -> npt.NDArray[np.float32]:
    """Three radial distributions of a crystal side by side, (120,), a vector of length one.

    They are of all pairs, of pairs weighted by the product of atomic numbers over their mean square, and by the
    difference of atomic numbers over their mean. Distances are counted in units of the mean distance of nearest
    neighbours, so that a strained crystal, or one with vacancies, is near its parent. A cell, its supercell and its
    mirror image have the same.
    """
    from ase.neighborlist import neighbor_list

    atoms = structure.atoms
    periodic = atoms.copy()
    periodic.pbc = True
    unit = _nearest(periodic)
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


def _nearest(periodic: Any) -> float:
    """Mean distance in Å of atoms to their nearest neighbours."""
    from ase.neighborlist import neighbor_list

    reach = 1.5 * (periodic.get_volume() / len(periodic)) ** (1 / 3)
    while True:
        first, distance = neighbor_list("id", periodic, reach)
        if len(np.unique(first)) == len(periodic):
            break
        reach *= 1.5  # atoms in vacuum
    nearest = np.full(len(periodic), np.inf)
    np.minimum.at(nearest, first, distance)
    return float(nearest.mean())
