"""Local strain: how the surroundings of every atom are deformed against a reference lattice."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase.geometry import cell_to_cellpar

from rhotem.core import InputError
from rhotem.structure.build import repeated
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Å: neighbours in the reference that tell the strain of an atom; fewest of them.
REACH, FEWEST = 4.2, 6
#: Å: an atom farther than this from every site is on none.
OFF_SITE = 1.0
#: Cells may differ from whole repeats of the reference by this share of a length, and by so many degrees.
LENGTH, ANGLE = 0.12, 8.0


@dataclass(frozen=True, eq=False)
class AtomicStrain:
    """Displacement and strain of every atom; NaN where an atom sits on no site of the reference.

    Parameters
    ----------
    repeats : (int, int, int)
        Of the reference in the structure.
    displacement : (N, 3) array
        From its site, in the structure's cell, Å; the mean is taken off.
    strain : (N, 3, 3) array
        Green–Lagrange tensor ½(FᵀF − 1) in the frame of the reference; a rotation is none.
    """

    repeats: tuple[int, int, int]
    displacement: Floats
    strain: Floats

    @property
    def volumetric(self) -> Floats:
        """Relative change of the volume, √det(1 + 2E) − 1, shape (N,)."""
        return np.sqrt(np.linalg.det(np.eye(3) + 2.0 * self.strain)) - 1.0

    @property
    def shear(self) -> Floats:
        """Von Mises equivalent √(⅔ e:e) of the deviatoric part e, shape (N,)."""
        trace = np.trace(self.strain, axis1=1, axis2=2)
        deviator = self.strain - trace[:, None, None] / 3.0 * np.eye(3)
        return np.sqrt(2.0 / 3.0 * (deviator**2).sum(axis=(1, 2)))


def atomic_strain(structure: Structure, reference: Structure) -> AtomicStrain:
    """Strain of every atom against a reference crystal whose axes, repeated, are those of the structure.

    Sites are found by fractional coordinates, whatever element sits there. The deformation gradient F of an atom maps
    the vectors to its neighbours in the reference to those in the structure, by least squares over neighbours within
    4.2 Å (M. L. Falk, J. S. Langer, Phys. Rev. E 57, 7192 (1998)).

    Raises
    ------
    InputError
        If the cell is not one of whole repeats of the reference, or most atoms sit on no site.
    """
    counts = _repeats(structure, reference)
    lattice = repeated(reference, *counts)
    site, apart = _sites(structure, lattice)
    known = site >= 0
    if known.mean() < 0.5:
        raise InputError(
            f"strain: {int((~known).sum())} of {len(structure)} atoms sit on no site of the reference; give the "
            "crystal that the structure was built from, with the same origin of its axes"
        )
    displacement = np.where(known[:, None], apart @ structure.cell, np.nan)
    return AtomicStrain(counts, displacement, _strains(structure, lattice, site, apart))


def _repeats(structure: Structure, reference: Structure) -> tuple[int, int, int]:
    here, there = cell_to_cellpar(structure.cell), cell_to_cellpar(reference.cell)
    ratio = here[:3] / there[:3]
    counts = np.maximum(1, np.rint(ratio))
    if np.abs(ratio / counts - 1).max() > LENGTH or np.abs(here[3:] - there[3:]).max() > ANGLE:
        sides, wanted = (" x ".join(f"{v:.2f}" for v in cell[:3]) for cell in (here, there))
        raise InputError(
            f"strain: the cell, {sides} Å, is not one of whole repeats of the reference, {wanted} Å; give --reference "
            "the crystal, or the structure before it was relaxed"
        )
    a, b, c = (int(n) for n in counts)
    return a, b, c


def _sites(structure: Structure, lattice: Structure) -> tuple[npt.NDArray[np.int64], Floats]:
    """Site of every atom (−1: none) and its fractional distance from it, the common shift taken off."""
    from scipy.spatial import cKDTree

    here, there = (s.atoms.get_scaled_positions(wrap=False) for s in (structure, lattice))
    sides = np.linalg.norm(structure.cell, axis=1)
    tree = cKDTree((there % 1.0 % 1.0) * sides, boxsize=sides)
    shift = np.zeros(3)
    for _ in range(4):  # the common shift moves the nearest sites, these the shift
        _, site = tree.query(((here - shift) % 1.0 % 1.0) * sides)
        apart = here - shift - there[site]
        apart -= np.rint(apart)
        shift = shift + np.median(apart, axis=0)
    distance = np.linalg.norm(apart @ structure.cell, axis=1)
    order = np.argsort(distance)
    first = np.zeros(len(site), dtype=bool)
    first[order[np.unique(site[order], return_index=True)[1]]] = True  # of two on one site the nearer has it
    site = np.where(first & (distance < OFF_SITE), site, -1)
    apart = apart - np.mean(apart[site >= 0], axis=0) if (site >= 0).any() else apart
    return site, apart


def _strains(structure: Structure, lattice: Structure, site: npt.NDArray[np.int64], apart: Floats) -> Floats:
    from ase.neighborlist import neighbor_list

    atoms = lattice.atoms.copy()
    atoms.pbc = True
    one, two, vectors = neighbor_list("ijD", atoms, REACH)
    atom_on = np.full(len(lattice), -1)
    atom_on[site[site >= 0]] = np.flatnonzero(site >= 0)
    i, j = atom_on[one], atom_on[two]
    both = (i >= 0) & (j >= 0)
    i, j, before = i[both], j[both], vectors[both]
    # the same step between sites in the structure's cell, and what both atoms moved by
    after = (before @ np.linalg.inv(lattice.cell) + apart[j] - apart[i]) @ structure.cell
    square, cross = np.zeros((2, len(structure), 3, 3))
    np.add.at(square, i, before[:, :, None] * before[:, None, :])
    np.add.at(cross, i, before[:, :, None] * after[:, None, :])
    number = np.bincount(i, minlength=len(structure))
    result = np.full((len(structure), 3, 3), np.nan)
    for atom in np.flatnonzero(number >= FEWEST):
        if np.linalg.cond(square[atom]) < 1e4:
            gradient = np.linalg.solve(square[atom], cross[atom]).T
            result[atom] = 0.5 * (gradient.T @ gradient - np.eye(3))
    return result
