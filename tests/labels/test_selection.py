import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.labels.recipes import Recipe
from rhotem.labels.sampler import sample
from rhotem.labels.selection import by_disagreement, disagreement
from rhotem.structure.model import Structure


class Opinion:
    """A density that is a cosine, larger by ``error`` where there is an element it does not know."""

    def __init__(self, unknown: int, error: float) -> None:
        self.unknown, self.error = unknown, error

    def __call__(self, structure: Structure, grid: PeriodicGrid) -> DensityField:
        factor = 1.0 + self.error * (structure.numbers == self.unknown).any()
        wave = np.cos(2 * np.pi * np.arange(grid.shape[0]) / grid.shape[0])[:, None, None]
        return DensityField("deformation", structure, grid, factor * np.broadcast_to(wave, grid.shape))


def test_disagreement_is_the_relative_difference():
    structure = Recipe(prototype="rocksalt").build()
    one, two = Opinion(9, 0.0), Opinion(9, 0.5)
    assert disagreement(structure, [one, one]) == 0.0
    # |1 − 1.5| against the mean of both amplitudes, 1.25.
    assert disagreement(structure, [one, two]) == pytest.approx(0.5 / 1.25)


def test_what_models_dispute_is_calculated_first():
    select = by_disagreement([Opinion(25, 0.0), Opinion(25, 0.8)])
    chosen = list(sample(3, seed=4, families=["layered"], candidates=8, select=select))
    assert all(25 in structure.numbers for structure in chosen)


def test_one_model_cannot_disagree():
    with pytest.raises(InputError, match="two or more"):
        by_disagreement([Opinion(1, 0.0)])
