"""Atoms are displaced at random."""

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.edits.common import derived
from rhotem.structure.edits.table import Chance, Edit, Generator, number
from rhotem.structure.model import Structure


def displaced(structure: Structure, mean_square: float | npt.NDArray[np.float64], rng: Generator) -> Structure:
    """Displace every atom by independent normal deviates: rattling, or an Einstein snapshot of thermal motion.

    Parameters
    ----------
    mean_square : float or (N,) array
        ⟨u²⟩ along one axis in Å², for example from `rhotem.structure.debye_waller`.
    rng : Generator
    """
    variance = np.broadcast_to(np.asarray(mean_square, dtype=float), (len(structure),))
    if not np.isfinite(variance).all() or variance.min() < 0:
        raise InputError("mean square displacements must be positive numbers in Å²")
    atoms = structure.atoms.copy()
    atoms.positions += rng.standard_normal((len(atoms), 3)) * np.sqrt(variance)[:, None]
    note = f"displaced at random, rms {np.sqrt(variance.mean()):.4f} Å per axis"
    return derived(structure, atoms, note, moments=structure.moments, displacements=structure.displacements)


def _apply(structure: Structure, text: str, chance: Chance) -> Structure:
    return displaced(structure, number(text) ** 2, chance.rng)


EDIT = Edit("rattle", 80, "Å", "Random displacement, rms per axis.", _apply)
