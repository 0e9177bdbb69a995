"""What a model says of single atoms: the part of Δn each brings, its share in every point, the electrons it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, PeriodicGrid
from rhotem.models.gated_field import gates_at, on_gated_grid
from rhotem.models.grid import on_grid
from rhotem.models.model import DensityModel
from rhotem.models.source import atom_coefficients, prepared
from rhotem.models.target import as_deformation
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
    """

    weight: Array
    strength: Array
    empty: Array

    @property
    def contribution(self) -> Array:
        """w_ik s_ik in e/Å³, (A, *shape)."""
        return self.weight * self.strength


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


def contributions(model: DensityModel, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> Array:
    """What each of ``atoms`` brings to Δn at every point, (A, *shape) in e/Å³; over all atoms they sum to Δn.

    Raises
    ------
    InputError
        If there is no such atom, or the model cannot take the structure.
    """
    _check_atoms(structure, atoms)
    if not model.readout.linear:
        return gate_maps(model, structure, grid, atoms).contribution
    coefficients = atom_coefficients(model, structure)
    maps = []
    for atom in atoms:
        own = tuple(c[atom : atom + 1] for c in coefficients)
        alone = Structure(structure.atoms[[atom]])
        maps.append(as_deformation(model, on_grid(model, own, alone.positions, grid), alone, grid))
    return np.stack(maps)


def gate_maps(model: DensityModel, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> GateMaps:
    """Weights and strengths of the gated readout.

    Raises
    ------
    InputError
        If the readout has no gate, or there is no such atom.
    """
    _check_atoms(structure, atoms)
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


def populations(model: DensityModel, structure: Structure, grid: PeriodicGrid | None = None) -> Populations:
    """Electrons by atom: analytic for a spherical readout, ∫ w_ik s_ik on ``grid`` (default 0.1 Å) for a gated one.

    They are the model's own way to share Δn out, not a charge that can be measured: where functions of neighbours
    overlap, training did not care who holds an electron. Compare `rhotem.density.charges`.
    """
    if model.readout.linear:
        given = prepared(model, structure)
        electrons = model.readout.atom_electrons(given).double().cpu().numpy()
        # inside the network the count is part of every atom's own map; what is left here is rounding
        electrons -= model.readout.get_buffer("valence").cpu().numpy()[structure.numbers]
        left = np.full(len(structure), (-structure.charge - electrons.sum()) / len(structure))
        return Populations(electrons + left, left)
    grid = grid or PeriodicGrid.from_spacing(structure.cell, 0.1)
    found = on_gated_grid(model, prepared(model, structure), structure, grid)
    return Populations(found.electrons, found.correction)


def _check_atoms(structure: Structure, atoms: Sequence[int]) -> None:
    wrong = [a for a in atoms if not 0 <= a < len(structure)]
    if wrong or not len(atoms):
        raise InputError(
            f"atoms {list(atoms)}: expected numbers from 0 to {len(structure) - 1} of the structure's atoms"
        )
