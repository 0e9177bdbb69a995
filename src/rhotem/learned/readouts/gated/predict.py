"""Density of the gated readout, compiled."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rhotem.core import PeriodicGrid, Progress, silent
from rhotem.learned.coefficients import class_features
from rhotem.learned.radial import Block
from rhotem.learned.readouts.base import Announce, Array, Evaluated, combined
from rhotem.learned.readouts.gated.edges import EdgeMap, Given
from rhotem.learned.readouts.gated.field import GatedGrid, Gating, on_gated_grid, sums
from rhotem.learned.readouts.gated.free import left_free
from rhotem.learned.readouts.gated.maps import gate_maps
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.learned.model import LearnedModel


class GatedReadout:
    """See `rhotem.learned.readouts.base.Readout`; ``maps``: weights of every member."""

    blocks: tuple[Block, ...] = ()
    spacing = 0.12

    def __init__(self, model: "LearnedModel") -> None:
        self.model = model
        settings, channels = model.settings.section("gated"), model.any_encoder.channels
        self.maps = [EdgeMap(settings, own, channels) for own in model.readout_weights]
        self.cutoff = settings.cutoff

    @property
    def receptive_field(self) -> float:
        """Reach in Å of what decides about an edge."""
        return self.model.any_encoder.receptive_field

    def prepare(
        self,
        structure: Structure,
        memory: float | None = None,
        announce: Announce | None = None,
        *,
        reach: float = math.inf,
    ) -> tuple[Given, ...]:
        """What every atom gives to its edges, for every member."""
        encoder, features = class_features(self.model, structure, memory, announce)
        numbers = encoder.numbers[encoder.representatives]
        return tuple(own.given(features, numbers).of(encoder.classes) for own in self.maps)

    def prepare_members(
        self, structure: Structure, memory: float | None = None, announce: Announce | None = None
    ) -> tuple[Given, ...]:
        """The same: members are told apart."""
        return self.prepare(structure, memory, announce)

    def members_at_points(self, prepared: tuple[Given, ...], structure: Structure, points: Array) -> Array:
        """Δn of every member at points without the count, (members, P)."""
        return np.stack([sums(own, points)[0] for own in self.gating(prepared, structure).members()])

    def members_on_grid(self, prepared: tuple[Given, ...], structure: Structure, grid: PeriodicGrid) -> Iterator[Array]:
        """One after the other, each with its own count."""
        for own in self.gating(prepared, structure).members():
            yield on_gated_grid(own, grid).values

    def widened(
        self, prepared: tuple[Given, ...], structure: Structure, grid: PeriodicGrid, widening: float
    ) -> Iterator[Evaluated]:
        """On the grid and around the atoms alike, each with its own count."""
        each = [on_gated_grid(own, grid, split=True) for own in self.gating(prepared, structure).members()]
        for k in range(len(each)):
            shares = [widening * (j == k) + (1.0 - widening) / len(each) for j in range(len(each))]
            yield combined([Evaluated(e.values, e.one_centre) for e in each], shares)

    def evaluate(self, prepared: tuple[Given, ...], structure: Structure, grid: PeriodicGrid) -> Evaluated:
        """Δn with the count right, sharp parts apart."""
        found = self._on_grid(prepared, structure, grid, split=True)
        record = {
            "electrons_by_atom": found.electrons.tolist(),
            "grid_count_correction_e": float(np.abs(found.correction).sum()),
            "strength_shift_e_per_A3": found.shift,
        }
        return Evaluated(found.values, found.one_centre, record)

    def values(
        self, prepared: tuple[Given, ...], structure: Structure, grid: PeriodicGrid, progress: Progress = silent
    ) -> Array:
        """Δn with the count right, everything on the grid."""
        return self._on_grid(prepared, structure, grid, progress=progress).values

    def at_points(self, prepared: tuple[Given, ...], structure: Structure, points: Array) -> Array:
        """Δn at points without the count."""
        return sums(self.gating(prepared, structure), points)[0]

    def gating(self, prepared: tuple[Given, ...], structure: Structure) -> Gating:
        """The readout on these atoms."""
        return Gating(self.maps, prepared, structure, left_free(self.model, structure, self.cutoff))

    def features(self, structure: Structure) -> None:
        """None: those of the encoder."""

    def contributions(self, structure: Structure, grid: PeriodicGrid, atoms: Sequence[int]) -> Array:
        """What atoms bring to Δn, (A, n1, n2, n3) in e/Å³."""
        return gate_maps(self.model, structure, grid, atoms).contribution

    def electrons(self, structure: Structure, grid: PeriodicGrid | None = None) -> tuple[Array, Array]:
        """∫ w s by atom on ``grid`` (default 0.1 Å), and the part of it that the count added."""
        grid = grid or PeriodicGrid.from_spacing(structure.cell, 0.1)
        found = self._on_grid(self.prepare(structure), structure, grid)
        return found.electrons, found.correction

    def _on_grid(
        self,
        prepared: tuple[Given, ...],
        structure: Structure,
        grid: PeriodicGrid,
        split: bool = False,
        progress: Progress = silent,
    ) -> GatedGrid:
        return on_gated_grid(self.gating(prepared, structure), grid, split, progress)
