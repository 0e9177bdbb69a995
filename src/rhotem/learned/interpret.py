"""What a model says of single atoms: the part of Δn each brings, and the electrons it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.learned.model import LearnedModel
from rhotem.structure.model import Structure

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Populations:
    """Electrons of the deformation density by the atom that brings them.

    Parameters
    ----------
    electrons : (N,) array
        ∫ of every atom's contribution; minus it is the charge that the model gives the atom. Sums to −q.
    correction : (N,) array
        The part of it that is the correction of the electron count.
    """

    electrons: Array
    correction: Array

    @property
    def charges(self) -> Array:
        """In e, positive where electrons are missing."""
        return -self.electrons

    @property
    def correction_share(self) -> float:
        """Σ|correction| over Σ|electrons|."""
        total = float(np.abs(self.electrons).sum())
        return float(np.abs(self.correction).sum()) / total if total else 0.0


def contributions(model: LearnedModel, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> Array:
    """What each of ``atoms`` brings to Δn at every point, (A, n1, n2, n3) in e/Å³; over all atoms they sum to Δn.

    Raises
    ------
    InputError
        If there is no such atom, or the model cannot take the structure.
    """
    check_atoms(structure, atoms)
    return model.readout.contributions(structure, grid, atoms)


def populations(model: LearnedModel, structure: Structure, grid: PeriodicGrid | None = None) -> Populations:
    """Electrons by atom: analytic for a spherical readout, ∫ w_ik s_ik on ``grid`` (default 0.1 Å) for a gated one.

    They are the model's own way to share Δn out, not a charge that can be measured: where functions of neighbours
    overlap, training did not care who holds an electron. Compare `rhotem.density.charges`.
    """
    return Populations(*model.readout.electrons(structure, grid))


def check_atoms(structure: Structure, atoms: Sequence[int]) -> None:
    """Refuse numbers of atoms that are not there."""
    wrong = [a for a in atoms if not 0 <= a < len(structure)]
    if wrong or not len(atoms):
        raise InputError(
            f"atoms {list(atoms)}: expected numbers from 0 to {len(structure) - 1} of the structure's atoms"
        )
