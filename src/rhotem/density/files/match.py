"""Is the density of a file a density of the structure asked for?"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.density.files.raw import RawDensity
from rhotem.structure.model import Structure

#: Lengths of lattice vectors may differ by this part, and their angles by this much in radians.
CELL_TOLERANCE = 2e-3
#: Largest distance in Å between an atom of the file and its partner in the structure.
POSITION_TOLERANCE = 0.02


def matched(structure: Structure, raw: RawDensity) -> Structure:
    """``structure`` with the atoms exactly where the file has them.

    Order, cell orientation and lattice translations stay those of ``structure``. The cells must agree up to a rotation,
    the atoms up to order and lattice translations.

    Raises
    ------
    InputError
        "density for another cell", with the first difference found.
    """
    check_cell(structure, raw)
    theirs, ours = raw.structure, structure
    if not np.array_equal(np.sort(theirs.numbers), np.sort(ours.numbers)):
        raise InputError(
            f"{raw.path}: density for another cell: it holds {theirs.atoms.get_chemical_formula()}, "
            f"the structure is {ours.atoms.get_chemical_formula()}"
        )
    fractions = np.linalg.solve(theirs.cell.T, theirs.positions.T).T
    wanted = np.linalg.solve(ours.cell.T, ours.positions.T).T
    found = np.empty_like(wanted)
    worst = 0.0
    for z in np.unique(ours.numbers):
        rows, candidates = np.flatnonzero(ours.numbers == z), np.flatnonzero(theirs.numbers == z)
        partner, distance = _partners(wanted[rows], fractions[candidates], ours.cell)
        worst = max(worst, float(distance.max()))
        if len(np.unique(partner)) < len(partner):
            worst = np.inf
        nearest = fractions[candidates[partner]]
        found[rows] = nearest + np.rint(wanted[rows] - nearest)
    if worst > POSITION_TOLERANCE:
        raise InputError(
            f"{raw.path}: density for another cell: {_how_far(worst, wanted, fractions, ours, theirs)}; "
            "give the structure this density was calculated for"
        )
    atoms = ours.atoms.copy()
    atoms.set_positions(found @ ours.cell, apply_constraint=False)
    return replace(ours, atoms=atoms)


def check_cell(structure: Structure, raw: RawDensity) -> None:
    """Raise unless both cells have the same lengths and angles."""
    theirs, ours = raw.structure.atoms.cell.cellpar(), structure.atoms.cell.cellpar()
    lengths = np.abs(theirs[:3] - ours[:3]) <= CELL_TOLERANCE * ours[:3]
    angles = np.abs(theirs[3:] - ours[3:]) <= np.degrees(CELL_TOLERANCE)
    same_hand = np.linalg.det(raw.structure.cell) * np.linalg.det(structure.cell) > 0
    if not (lengths.all() and angles.all() and same_hand):
        raise InputError(
            f"{raw.path}: density for another cell: it has {_cell_text(theirs)}, the structure {_cell_text(ours)} "
            "(a, b, c in Å; α, β, γ in degrees); give the structure in the file's own cell"
        )


def _partners(
    wanted: npt.NDArray, fractions: npt.NDArray, cell: npt.NDArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each wanted atom the index of the nearest one in the file, and the distance in Å."""
    from scipy.spatial import cKDTree

    # A point that rounds to exactly 1.0 is outside cKDTree's half-open box.
    tree = cKDTree(np.mod(np.mod(fractions, 1.0), 1.0), boxsize=1.0)
    _, partner = tree.query(np.mod(np.mod(wanted, 1.0), 1.0))
    partner = np.atleast_1d(partner)
    difference = wanted - fractions[partner]
    difference -= np.rint(difference)
    return partner, np.linalg.norm(difference @ cell, axis=1)


def _how_far(worst: float, wanted: npt.NDArray, fractions: npt.NDArray, ours: Structure, theirs: Structure) -> str:
    """What is wrong with the positions, in words."""
    z = ours.numbers[0]
    for start in fractions[theirs.numbers == z]:
        shift = start - wanted[0]
        distances = [
            _partners(wanted[ours.numbers == e] + shift, fractions[theirs.numbers == e], ours.cell)[1].max()
            for e in np.unique(ours.numbers)
        ]
        if max(distances) < POSITION_TOLERANCE:
            shift = shift - np.rint(shift)
            return f"all atoms are shifted by {np.round(shift, 4).tolist()} of the cell against the structure"
    if not np.isfinite(worst):
        return "its atoms are at other places than those of the structure"
    return f"atoms are up to {worst:.3f} Å from those of the structure (allowed {POSITION_TOLERANCE} Å)"


def _cell_text(parameters: npt.NDArray) -> str:
    return " ".join(f"{x:.4g}" for x in parameters)
