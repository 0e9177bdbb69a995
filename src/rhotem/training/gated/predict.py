"""Density of the gated readout, by the network itself."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from rhotem.core import PeriodicGrid, Progress, silent
from rhotem.learned.radial import Block
from rhotem.learned.readouts.base import Announce, Array, Evaluated, Single
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_network
from rhotem.training.gated.field import at, gated_values, on_gated_grid
from rhotem.training.gated.maps import gate_maps
from rhotem.training.network.predict import prepared

if TYPE_CHECKING:
    from rhotem.learned.model import LearnedModel

Given = tuple[torch.Tensor, ...]


class GatedReadout(Single):
    """See `rhotem.learned.readouts.base.Readout`."""

    blocks: tuple[Block, ...] = ()
    spacing = 0.12

    def __init__(self, model: "LearnedModel") -> None:
        self.network = as_network(model)
        self.cutoff = self.network.readout.cutoff
        self.receptive_field = self.network.encoder.receptive_field

    def prepare(
        self,
        structure: Structure,
        memory: float | None = None,
        announce: Announce | None = None,
        *,
        reach: float = math.inf,
    ) -> Given:
        """What every atom gives to its edges; memory is not bounded."""
        return prepared(self.network, structure)

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
