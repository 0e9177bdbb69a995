"""A trained peer on grids, with the exact electron count."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid, Progress, silent
from rhotem.density.convert import evaluate_one_centre, one_centre_electrons
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.superpose import near_points
from rhotem.learned.radial import geometric_weight
from rhotem.learned.readouts.gated.field import check_reached, one_centre_parts
from rhotem.peers.evaluate import from_states
from rhotem.peers.halves import TYPICAL, States, rounds
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.training.network.model import DensityModel

#: Share of the empty channel in the weight that the count is put right with.
EMPTY = 0.1

Array = npt.NDArray[np.float64]


def values_at(
    model: "DensityModel", given: States, positions: Array, cell: Array, points: Array, progress: Progress = silent
) -> Array:
    """Δn at points (P, 3) in Å, (P,) in e/Å³, without the count."""
    net = model.readout.net
    return TYPICAL * from_states(net, rounds(net, given[:-1]), points, positions, cell, progress=progress)[:, 0]


@dataclass(frozen=True, eq=False)
class PeerGrid:
    """Δn of a trained peer on a grid.

    Parameters
    ----------
    values : array of the grid's shape
        Δn in e/Å³ without ``one_centre``.
    one_centre : tuple of OneCentre
        Sharp parts, if asked for.
    missing : float
        Electrons that the count added.
    shift : float
        The same as the factor of `near_atoms`, e/Å³.
    """

    values: Array
    one_centre: tuple[OneCentre, ...]
    missing: float
    shift: float


def on_peer_grid(
    model: "DensityModel",
    given: States,
    structure: Structure,
    grid: PeriodicGrid,
    split: bool = False,
    progress: Progress = silent,
) -> PeerGrid:
    """Δn on a grid; the electrons that it misses go where atoms are, so that the sum is exactly −q.

    A published network knows no electron count. As for the gated readout one number times a smooth weight is added,
    which is nearly 1 in a bulk and ends at a surface; nothing is scaled. With ``split`` the parts near nuclei are taken
    off the grid and returned as one-centre functions.

    Raises
    ------
    InputError
        If no grid point is within reach of an atom.
    """
    positions, cell = np.asarray(structure.positions, dtype=float), np.asarray(grid.cell, dtype=float)

    def at(points: Array) -> Array:
        return values_at(model, given, positions, cell, points)

    flat = values_at(model, given, positions, cell, grid.points().reshape(-1, 3), progress)
    values = flat.reshape(grid.shape)
    terms = one_centre_parts(at, structure) if split else ()
    if terms:
        values = values - evaluate_one_centre(DensityField("deformation", structure, grid, values, one_centre=terms))
    weight = near_atoms(positions, grid, model.readout.cutoff)
    check_reached(weight, grid)
    missing = -structure.charge - grid.integrate(values) - sum(map(one_centre_electrons, terms))
    shift = missing / grid.integrate(weight)
    return PeerGrid(values + shift * weight, terms, missing, shift)


def near_atoms(positions: Array, grid: PeriodicGrid, reach: float) -> Array:
    """A smooth weight on a grid, 0 where no atom is within ``reach`` (Å), towards 1 where many are."""
    total = np.zeros(grid.size)
    _, n2, n3 = grid.shape
    for centre in positions:
        points, offsets = near_points(grid, centre, reach)
        own = np.maximum(geometric_weight(np.linalg.norm(offsets, axis=1) / reach), 0.0)
        np.add.at(total, (points[:, 0] * n2 + points[:, 1]) * n3 + points[:, 2], own)
    return (total / (EMPTY + total)).reshape(grid.shape)
