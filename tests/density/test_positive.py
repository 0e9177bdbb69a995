"""Positivity by projection: count kept, nothing negative, nothing touched that need not be."""

import ase.build
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.positive import make_positive, negative_part
from rhotem.density.superpose import superpose
from rhotem.structure.model import Structure


@pytest.fixture(scope="module")
def lithium():
    structure = Structure(ase.build.bulk("Li", cubic=True))
    grid = PeriodicGrid.from_spacing(structure.cell, 0.25)
    return grid, superpose(structure, grid)


def test_a_positive_density_stays_as_it_is(lithium):
    grid, free = lithium
    assert make_positive(free, free, grid) is free
    assert negative_part(free, grid).electrons == 0.0


def test_count_kept_and_nothing_negative(lithium):
    grid, free = lithium
    hole = 0.08 * np.exp(-((grid.points() - np.array([1.0, 0.6, 1.7])) ** 2).sum(-1) / 0.2)
    broken = free - hole
    before = negative_part(broken, grid)
    assert before.electrons > 1e-3 and before.lowest < -0.01
    after = make_positive(broken, free, grid)
    assert after.min() >= 0.0
    assert grid.integrate(after) == pytest.approx(grid.integrate(broken), abs=1e-12 * grid.integrate(free))
    # as many electrons taken elsewhere as were missing, and none more
    change = after - broken
    assert grid.integrate(np.abs(change)) == pytest.approx(2.0 * before.electrons, rel=0.02)
    assert -change.min() < 10.0 * before.electrons / grid.volume


def test_it_is_the_nearest(lithium):
    """No other density with this count and sign is nearer in Σ (n' − n)²/w: optimality by random feasible rivals."""
    grid, free = lithium
    broken = free - 0.08 * np.exp(-((grid.points() - np.array([1.0, 0.6, 1.7])) ** 2).sum(-1) / 0.2)
    after, weight = make_positive(broken, free, grid), free / (free + 0.01)

    def distance(x: np.ndarray) -> float:
        return float(((x - broken) ** 2 / weight).sum())

    rng = np.random.default_rng(0)
    for _ in range(20):
        rival = after + 1e-3 * after.max() * rng.random(grid.shape) * (rng.random(grid.shape) < 0.1)
        rival *= after.sum() / rival.sum()
        assert distance(rival) > distance(after)


def test_a_vacuum_lends_nothing():
    structure = Structure(ase.build.fcc100("Al", (1, 1, 2), vacuum=8.0))
    grid = PeriodicGrid.from_spacing(structure.cell, 0.3)
    free = superpose(structure, grid)
    broken = free - 0.3 * np.exp(-((grid.points() - structure.positions[0] - [1.4, 0.0, 0.8]) ** 2).sum(-1) / 0.5)
    change = make_positive(broken, free, grid) - broken
    empty = free < 1e-6
    assert empty.mean() > 0.1
    assert np.abs(change[empty & (broken >= 0.0)]).max() < 1e-6


def test_no_electrons_no_density(lithium):
    grid, free = lithium
    with pytest.raises(InputError, match="electrons in the cell"):
        make_positive(-free, free, grid)
