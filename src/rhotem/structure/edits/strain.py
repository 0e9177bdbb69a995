"""The crystal, strained."""

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.displacement_tensors import transformed
from rhotem.structure.edits.common import derived
from rhotem.structure.edits.table import Chance, Edit, number, parts
from rhotem.structure.model import Structure


def strained(structure: Structure, strain: npt.ArrayLike) -> Structure:
    """Strain a crystal: three numbers (along x, y, z) or a symmetric 3 × 3 tensor; fractional coordinates stay.

    ``cell' = cell @ (1 + e)``: a pure deformation of space without rotation.
    """
    tensor = np.asarray(strain, dtype=float)
    tensor = np.diag(tensor) if tensor.shape == (3,) else tensor
    if tensor.shape != (3, 3) or not np.isfinite(tensor).all() or np.abs(tensor - tensor.T).max() > 1e-12:
        raise InputError(f"strain {np.shape(strain)}: expected three numbers or a symmetric 3 x 3 tensor")
    if np.linalg.eigvalsh(tensor).min() <= -0.5:
        raise InputError("strain: a principal strain below -0.5 would crush the cell")
    atoms = structure.atoms.copy()
    atoms.set_cell(structure.cell @ (np.eye(3) + tensor), scale_atoms=True)
    note = f"strained by {np.round(tensor, 6).tolist()}"
    motion = transformed(structure.displacements, np.eye(3) + tensor)
    made = derived(structure, atoms, note, moments=structure.moments, displacements=motion)
    made.info["parent_cell"] = (np.array(made.info["parent_cell"]) @ (np.eye(3) + tensor)).tolist()
    return made


def _apply(structure: Structure, text: str, chance: Chance) -> Structure:
    return strained(structure, [number(x) for x in parts(text, "strain", 3, ",")])


EDIT = Edit("strain", 60, "exx,eyy,ezz", "Strain, 0.01 is 1 %.", _apply)
