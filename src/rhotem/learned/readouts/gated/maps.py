"""Weights and strengths of the gated readout for single atoms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.learned.interpret import check_atoms
from rhotem.learned.model import LearnedModel
from rhotem.learned.readouts.gated.field import on_gated_grid
from rhotem.structure.model import Structure

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
    back : (A, *shape) array
        What it got back of atoms that are left free, e/Å³.
    """

    weight: Array
    strength: Array
    empty: Array
    back: Array

    @property
    def contribution(self) -> Array:
        """w_ik s_ik in e/Å³, (A, *shape), with what it got back."""
        return self.weight * self.strength + self.back


def gate_maps(model: LearnedModel, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> GateMaps:
    """Weights and strengths of the gated readout; of several members the mean weight, and what it brings on average.

    Raises
    ------
    InputError
        If the readout has no gate, or there is no such atom.
    """
    check_atoms(structure, atoms)
    if model.can.name != "gated":
        raise InputError('model: its readout has no gate; take gated weights, or train with readout = "gated"')
    readout: Any = model.readout  # a gated one
    gating = readout.gating(readout.prepare(structure), structure)
    weight, brought = np.zeros((2, len(atoms), grid.size))
    filled = np.zeros(grid.size)
    place = np.full(len(structure), -1)
    place[list(atoms)] = np.arange(len(atoms))
    part = 1.0 / len(gating.maps)
    for piece in gating.pieces(grid.points().reshape(-1, 3)):
        for gates in gating.gates(piece):
            filled[piece.rows] += part * gates.filled
            row = place[piece.owner[gates.image]]
            chosen = row >= 0
            where = row[chosen], piece.rows[gates.point[chosen]]
            np.add.at(weight, where, part * gates.weight[chosen])
            np.add.at(brought, where, part * gates.weight[chosen] * gates.strength[chosen])
    found, left = on_gated_grid(gating, grid), gating.left
    strength = np.divide(brought, weight, out=np.zeros_like(brought), where=weight > 0.0)
    strength[weight > 0.0] += found.shift
    shape = (len(atoms), *grid.shape)
    back = np.zeros(shape)
    if left is not None:
        strength *= left.kept[list(atoms), None]
        for own, atom in zip(back, atoms, strict=True):
            one = Structure(structure.atoms[[atom]])
            own += left.on_grid(found.back[[atom]], one, grid)
    return GateMaps(weight.reshape(shape), strength.reshape(shape), (1.0 - filled).reshape(grid.shape), back)
