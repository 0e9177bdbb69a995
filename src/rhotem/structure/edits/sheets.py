"""Sheets of a layered crystal: monolayers and stacks of few, with vacuum beside them."""

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.bonded import bonded_groups
from rhotem.structure.displacement_tensors import picked
from rhotem.structure.edits.common import derived
from rhotem.structure.edits.slab import VACUUM
from rhotem.structure.edits.table import Chance, Edit, number, parts, whole
from rhotem.structure.model import Structure

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Groups of atoms whose middles are at one height within so many Å belong to one sheet.
LEVEL = 0.5
#: Sheets at most, some 0.7 µm: more are a slab, and a mistyped number must not fill the memory.
MOST = 1000


def sheets(structure: Structure, count: int = 1, vacuum: float = VACUUM) -> Structure:
    """So many neighbouring sheets of a layered crystal across its third vector, which then stands upright.

    A sheet is what bonds hold together (`rhotem.structure.bonded.bonded_groups`). The lowest sheet of the cell is the
    first one taken.

    Parameters
    ----------
    structure : Structure
    count : int
        1 to `MOST`.
    vacuum : float
        Empty height in Å between the outermost atoms and their copies.

    Raises
    ------
    InputError
        If bonds hold the crystal together along the third vector, too, the vacuum is no positive length, or
        there are none or more than `MOST`.
    """
    if not 1 <= count <= MOST:
        raise InputError(f"sheets: {count}; expected 1 to {MOST}. Cut thicker specimens as a slab (--slab)")
    if not (np.isfinite(vacuum) and vacuum > 0):
        raise InputError(f"sheets: {vacuum:g} Å of vacuum; expected a positive length")
    group, shift, loops = bonded_groups(structure.atoms)
    if any(np.any(loop[:, 2]) for loop in loops):
        raise InputError(
            f"sheets: bonds hold {structure.formula} together along its third vector, so that there are no sheets "
            "across it; cut a slab (--slab)"
        )
    cell = structure.cell
    normal = np.cross(cell[0], cell[1])
    normal /= np.linalg.norm(normal)
    period = float(cell[2] @ normal)
    positions = structure.positions + shift @ cell
    middle = np.array([(positions[group == n] @ normal).mean() for n in range(len(loops))])
    down = np.floor(middle / period + 1e-6)
    positions -= down[group][:, None] * cell[2]
    levels = _levels(middle - down * period, group)
    copies, which = np.divmod(np.arange(count), len(levels))
    chosen = np.concatenate([levels[n] for n in which])
    above = np.repeat(copies, [len(levels[n]) for n in which])
    return _with_vacuum(structure, chosen, positions[chosen] + above[:, None] * cell[2], normal, (count, vacuum))


def _levels(middle: Floats, group: Ints) -> list[Ints]:
    """Atoms of every sheet, the lowest first; groups of one height are islands of one sheet."""
    order = np.argsort(middle, kind="stable")
    starts = np.flatnonzero(np.diff(middle[order], prepend=-np.inf) > LEVEL)
    return [np.flatnonzero(np.isin(group, members)) for members in np.split(order, starts[1:])]


def _with_vacuum(
    structure: Structure, chosen: Ints, positions: Floats, normal: Floats, asked: tuple[int, float]
) -> Structure:
    count, vacuum = asked
    atoms = structure.atoms[chosen]
    height = positions @ normal
    cell = structure.cell.copy()
    cell[2] = normal * (np.ptp(height) + vacuum)
    atoms.positions = positions + (0.5 * vacuum - height.min()) * normal
    atoms.set_cell(cell)
    atoms.wrap(eps=1e-6)
    moments = None if structure.moments is None else np.asarray(structure.moments)[chosen]
    note = f"{count} sheet{'s' * (count > 1)} with {vacuum:g} Å of vacuum"
    motion = picked(structure.displacements, chosen)
    return derived(structure, atoms, note, charge=0.0, moments=moments, displacements=motion)


def _apply(structure: Structure, text: str, chance: Chance) -> Structure:
    count, *vacuum = parts(text, "sheets", (1, 2))
    return sheets(structure, whole(count), number(vacuum[0]) if vacuum else VACUUM)


EDIT = Edit("sheets", 5, "n[:vacuum]", "n sheets of a layered crystal, with vacuum; lengths in Å.", _apply)
