"""Density of a published network that was trained here, by the network itself."""

from collections.abc import Sequence

import torch

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.learned.readouts.base import Array, Evaluated
from rhotem.peers.field import on_peer_grid, values_at
from rhotem.structure.model import Structure
from rhotem.training.network.predict import Given, NetworkReadout


class PeerGridReadout(NetworkReadout):
    """See `rhotem.learned.readouts.base.Readout`."""

    def evaluate(self, prepared: Given, structure: Structure, grid: PeriodicGrid) -> Evaluated:
        """Δn with the count right, sharp parts apart."""
        found = on_peer_grid(self.network, prepared, structure, grid, split=True)
        record = {"grid_count_correction_e": abs(found.missing), "strength_shift_e_per_A3": found.shift}
        return Evaluated(found.values, found.one_centre, record)

    def values(self, prepared: Given, structure: Structure, grid: PeriodicGrid, progress: Progress = silent) -> Array:
        """Δn with the count right, everything on the grid."""
        return on_peer_grid(self.network, prepared, structure, grid, progress=progress).values

    def at_points(self, prepared: Given, structure: Structure, points: Array) -> Array:
        """Δn at points without the count."""
        return values_at(self.network, prepared, structure.positions, structure.cell, points)

    def features(self, structure: Structure) -> Array:
        """Features of the first round."""
        with torch.no_grad():
            scalars = self.network.encoder(self.network.graph(structure)).scalars
        flat: Array = scalars.double().cpu().flatten(1).numpy()
        return flat

    def contributions(self, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> Array:
        """Refused: what an atom brings is not told apart."""
        raise InputError("model: a published network does not say what single atoms bring; use another readout")

    def electrons(self, structure: Structure, grid: PeriodicGrid | None = None) -> tuple[Array, Array]:
        """Refused as well."""
        raise InputError("model: a published network does not say what single atoms hold; use another readout")
