"""Density of the gated readout, by the network itself."""

from collections.abc import Sequence

import numpy as np

from rhotem.core import PeriodicGrid, Progress, silent
from rhotem.learned.readouts.base import Array, Evaluated
from rhotem.structure.model import Structure
from rhotem.training.gated.field import at, gated_values, on_gated_grid
from rhotem.training.gated.maps import gate_maps
from rhotem.training.network.predict import Given, NetworkReadout


class GatedReadout(NetworkReadout):
    """See `rhotem.learned.readouts.base.Readout`."""

    def evaluate(self, prepared: Given, structure: Structure, grid: PeriodicGrid) -> Evaluated:
        """Δn with the count right, sharp parts apart."""
        found = on_gated_grid(self.network, prepared, structure, grid, split=True)
        record = {
            "electrons_by_atom": found.electrons.tolist(),
            "grid_count_correction_e": float(np.abs(found.correction).sum()),
            "strength_shift_e_per_A3": found.shift,
        }
        return Evaluated(found.values, found.one_centre, record)

    def values(self, prepared: Given, structure: Structure, grid: PeriodicGrid, progress: Progress = silent) -> Array:
        """Δn with the count right, everything on the grid."""
        return gated_values(self.network, prepared, structure.positions, grid, progress)

    def at_points(self, prepared: Given, structure: Structure, points: Array) -> Array:
        """Δn at points without the count."""
        return at(self.network, prepared, structure, points)[0]

    def features(self, structure: Structure) -> None:
        """None: those of the encoder."""

    def contributions(self, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> Array:
        """What atoms bring to Δn, (A, n1, n2, n3) in e/Å³."""
        return gate_maps(self.network, structure, grid, atoms).contribution

    def electrons(self, structure: Structure, grid: PeriodicGrid | None = None) -> tuple[Array, Array]:
        """∫ w s by atom on ``grid`` (default 0.1 Å), and the part of it that the count added."""
        grid = grid or PeriodicGrid.from_spacing(structure.cell, 0.1)
        found = on_gated_grid(self.network, self.prepare(structure), structure, grid)
        return found.electrons, found.correction
