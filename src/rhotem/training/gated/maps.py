"""Weights and strengths of the gated readout for single atoms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import PeriodicGrid
from rhotem.learned.interpret import check_atoms
from rhotem.structure.model import Structure
from rhotem.training.gated.field import gates_at, on_gated_grid
from rhotem.training.network.model import DensityModel
from rhotem.training.network.predict import prepared

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GateMaps:
    """Weights and strengths of chosen atoms at every point of a grid.

    Parameters
    ----------
    weight : (A, *shape) array
        Share w_ik of the atom (its images together) in a point.
    strength : (A, *shape) array
        What it would bring alone, s_ik with the electron count's λ, in e/Å³; 0 out of reach.
    empty : array of the grid's shape
        Share of the empty channel, 1 − Σ_i w_ik over all atoms.
    """

    weight: Array
    strength: Array
    empty: Array

    @property
    def contribution(self) -> Array:
        """w_ik s_ik in e/Å³, (A, *shape)."""
        return self.weight * self.strength


def gate_maps(model: DensityModel, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> GateMaps:
    """Weights and strengths of the gated readout.

    Raises
    ------
    InputError
        If the readout has no gate, or there is no such atom.
    """
    check_atoms(structure, atoms)
    given = prepared(model, structure)
    points = grid.points().reshape(-1, 3)
    weight, brought = np.zeros((len(atoms), grid.size)), np.zeros((len(atoms), grid.size))
    filled = np.zeros(grid.size)
    place = torch.full((len(structure),), -1, dtype=torch.long)
    place[torch.tensor(list(atoms))] = torch.arange(len(atoms))
    for piece, gates in gates_at(model, given, structure, points):
        filled[piece] = gates.filled.double().cpu().numpy()
        row = place[gates.atom.cpu()]
        chosen = row >= 0
        where = row[chosen] * grid.size + piece.start + gates.point.cpu()[chosen]
        w = gates.weight.double().cpu()[chosen].numpy()
        np.add.at(weight.reshape(-1), where.numpy(), w)
        np.add.at(brought.reshape(-1), where.numpy(), w * gates.strength.double().cpu()[chosen].numpy())
    shift = on_gated_grid(model, given, structure, grid).shift
    strength = np.divide(brought, weight, out=np.zeros_like(brought), where=weight > 0.0)
    strength[weight > 0.0] += shift
    shape = (len(atoms), *grid.shape)
    return GateMaps(weight.reshape(shape), strength.reshape(shape), (1.0 - filled).reshape(grid.shape))
