"""How unlike everything trained on the arrangement of the atoms is, whatever elements they are.

A new compound of a known prototype has its atoms where they were in training; a new prototype has not, even where every
element and every first shell is known. So atoms are described by where their neighbours are and by which of them are
more electronegative, in units of the distance of neighbours in the structure: a power spectrum of the density of
neighbours (A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013)).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.learned.kernels.products import directions
from rhotem.learned.neighbours import Neighbours
from rhotem.learned.novelty import distance_to_nearest
from rhotem.learned.relatives import PAULING
from rhotem.structure.model import Structure

#: Reach in units of the distance of neighbours, radial functions, largest l.
REACH, FUNCTIONS, LMAX = 2.6, 6, 4
#: Start of the radial functions, in the same unit; difference of electronegativity that counts as large.
FIRST, LARGE = 0.8, 0.5
#: Å within which the nearest neighbour is looked for.
NEAREST = 5.0
#: Atoms at once: what their neighbours need is some 10 MB.
ATOMS = 32
#: Added to distances of fingerprints of length 1.
SMALLEST = 1e-3

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ArrangementBank:
    """Arrangements around training atoms.

    Parameters
    ----------
    fingerprints : (M, F) array
        Of length 1, no two alike.
    usual : float
        Median distance of atoms of parents that were left out of this.
    """

    fingerprints: Array
    usual: float

    def arrays(self) -> dict[str, npt.NDArray]:
        """As stored beside weights, fingerprints in 16 bits: rounding is 1/50 of the usual distance."""
        return {
            "arrangement.fingerprints": self.fingerprints.astype(np.float16),
            "arrangement.usual": np.array([self.usual]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray]) -> "ArrangementBank | None":
        """Back from `arrays`; None where there are none."""
        if "arrangement.usual" not in arrays:
            return None
        return cls(arrays["arrangement.fingerprints"].astype(float), float(arrays["arrangement.usual"][0]))

    def novelty(self, structure: Structure, atoms: npt.NDArray[np.int64] | None = None) -> Array:
        """Logarithm of the distance to the nearest training atom of any element, over the usual one, of ``atoms``."""
        return np.concatenate([self.of_fingerprints(f) for f in _pieces(structure, atoms)])

    def of_fingerprints(self, fingerprints: Array) -> Array:
        """`novelty` of atoms whose fingerprints (N, F) are known."""
        return np.log((distance_to_nearest(fingerprints, self.fingerprints) + SMALLEST) / (self.usual + SMALLEST))


def arrangement(structure: Structure, atoms: npt.NDArray[np.int64] | None = None) -> Array:
    """Fingerprints (N, F) of length 1 of how neighbours are arranged around atoms; all of them unless said.

    They do not change with rotation, inversion or the size of the cell, nor with the lattice constant. An atom without
    neighbours has zeros.
    """
    return np.concatenate(list(_pieces(structure, atoms)))


def _pieces(structure: Structure, atoms: npt.NDArray[np.int64] | None) -> Iterator[Array]:
    """Fingerprints of a few atoms at a time."""
    chosen = np.arange(len(structure)) if atoms is None else atoms
    unit = _unit(structure)
    neighbours = Neighbours(structure.positions, structure.cell, REACH * unit)
    chi = PAULING[np.minimum(structure.numbers, len(PAULING) - 1)]
    for start in range(0, len(chosen), ATOMS):
        own = chosen[start : start + ATOMS]
        starts, other, vectors = neighbours.around(own)
        centre = np.repeat(np.arange(len(own)), np.diff(starts))
        polar = np.tanh((chi[other] - chi[own][centre]) / LARGE)
        yield _spectra(vectors / unit, polar, centre, len(own))


def _unit(structure: Structure) -> float:
    """Median over the atoms of the distance to the nearest one, Å; `NEAREST` at most."""
    neighbours = Neighbours(structure.positions, structure.cell, NEAREST)
    nearest = np.full(len(structure), NEAREST)
    for start in range(0, len(structure), ATOMS):
        rows = np.arange(start, min(start + ATOMS, len(structure)))
        starts, _, vectors = neighbours.around(rows)
        np.minimum.at(nearest, np.repeat(rows, np.diff(starts)), np.linalg.norm(vectors, axis=1))
    return float(np.median(nearest))


def _spectra(vectors: Array, polar: Array, centre: npt.NDArray[np.int64], count: int) -> Array:
    """Power spectra of the neighbours of ``count`` atoms: vectors (E, 3) in units of `_unit`, weights (E,)."""
    x = np.linalg.norm(vectors, axis=1)
    places = np.linspace(FIRST, REACH, FUNCTIONS)
    radial = np.exp(-0.5 * ((x[:, None] - places) / (places[1] - places[0])) ** 2)
    radial *= (np.cos(0.5 * np.pi * np.minimum(x / REACH, 1.0)) ** 2 / x)[:, None]
    radial = np.concatenate([radial, radial * polar[:, None]], axis=1)
    harmonics = directions(vectors, LMAX)
    density = np.zeros((count, radial.shape[1], harmonics.shape[1]))
    np.add.at(density, centre, radial[:, :, None] * harmonics[:, None, :])
    upper = np.triu_indices(radial.shape[1])
    twice = np.where(upper[0] == upper[1], 1.0, np.sqrt(2.0))
    result = []
    for l in range(LMAX + 1):
        own = density[:, :, l * l : (l + 1) ** 2] / (2 * l + 1) ** 0.25
        result.append((own @ own.transpose(0, 2, 1))[:, upper[0], upper[1]] * twice)
    spectra = np.concatenate(result, axis=1)
    return spectra / np.maximum(np.linalg.norm(spectra, axis=1, keepdims=True), 1e-12)
