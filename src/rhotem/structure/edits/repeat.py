"""The cell, repeated along its vectors."""

import numpy as np

from rhotem.core import InputError
from rhotem.structure.displacement_tensors import repeated_tensors
from rhotem.structure.edits.table import Chance, Edit, parts, whole
from rhotem.structure.model import Structure


def repeated(structure: Structure, nx: int, ny: int, nz: int) -> Structure:
    """The cell repeated along its vectors; charge, moments and displacements with it."""
    if min(nx, ny, nz) < 1:
        raise InputError(f"repeats {nx} x {ny} x {nz}: expected three positive whole numbers")
    copies = nx * ny * nz
    moments = None if structure.moments is None else np.tile(structure.moments, copies)
    atoms = structure.atoms.repeat((nx, ny, nz))
    motion = repeated_tensors(structure.displacements, copies)
    return Structure(atoms, structure.charge * copies, moments, dict(structure.info), motion)


def _apply(structure: Structure, text: str, chance: Chance) -> Structure:
    return repeated(structure, *(whole(n) for n in parts(text, "repeat", 3, ",")))


EDIT = Edit("repeat", 10, "nx,ny,nz", "Repeat the cell first.", _apply)
