"""Frames that follow each other: what is taken over is what would be evaluated."""

import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.learned.following import Following
from rhotem.learned.source import Model
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


@pytest.fixture(scope="module")
def model():
    return Model(novelty=False, positive="off")


def _frames(rng):
    """A hop of one Li of 36 atoms in two steps, a thermal frame, the first again, and one of another cell."""
    start = phase("LiCoO2").atoms.repeat((3, 1, 1))
    del start[[a.index for a in start if a.symbol == "Li"][3]]
    made = [start]
    for step in (0.4, 0.9):
        one = start.copy()
        one.positions[0] += [step, 0.2, 0.1]
        made.append(one)
    thermal = start.copy()
    thermal.positions += rng.normal(0, 0.05, thermal.positions.shape)
    stretched = start.copy()
    stretched.set_cell(1.01 * start.cell.array, scale_atoms=True)
    return [Structure(a) for a in (*made, thermal, start, stretched)]


def test_every_frame_is_the_full_evaluation_within_1e6(model, rng):
    source = model.following()
    for structure in _frames(rng):
        grid = PeriodicGrid.from_spacing(structure.cell, 0.25)
        here, whole = source(structure, grid), model(structure, grid)
        assert np.abs(here.values - whole.values).max() < 1e-6
        sharp = np.abs(whole.one_centre.coefficients).max()
        assert np.abs(here.one_centre.coefficients - whole.one_centre.coefficients).max() < 1e-6 * sharp
        electrons = np.array([f.record["electrons_by_atom"] for f in (here, whole)])
        np.testing.assert_allclose(electrons[0], electrons[1], atol=1e-5)
        assert electrons[0].sum() == pytest.approx(0.0, abs=1e-5)


def test_far_atoms_are_taken_over(model):
    """In a row of cells of 60 Å no atom beyond the reach is evaluated, first layers touch the neighbourhood alone."""
    atoms = phase("LiF").atoms.repeat((14, 1, 1))
    moved = atoms.copy()
    moved.positions[0, 1] += 0.3
    grid = PeriodicGrid.from_spacing(atoms.cell.array, 0.25)
    source = model.following()
    source(Structure(atoms), grid)
    here, whole = source(Structure(moved), grid), model(Structure(moved), grid)
    layers = source.evaluated[:-1]
    assert layers == sorted(layers) and layers[0] < 0.2 * len(atoms) and layers[-1] < 0.8 * len(atoms)
    assert np.abs(here.values - whole.values).max() < 1e-6


def test_small_steps_do_not_add_up(model):
    """Fifteen steps of which each alone is below what is handed on end where the full evaluation is."""
    atoms = phase("LiF").atoms.repeat((2, 1, 1))
    source = Following(model, model, model.checked, tolerance=2e-5)
    grid = PeriodicGrid.from_spacing(atoms.cell.array, 0.25)
    source(Structure(atoms), grid)
    for step in range(1, 16):
        one = atoms.copy()
        one.positions[0, 0] += 5e-5 * step
        here = source(Structure(one), grid)
    assert np.abs(here.values - model(Structure(one), grid).values).max() < 1e-6


def test_the_same_frame_again_costs_no_atom(model):
    structure = phase("LiF")
    grid = PeriodicGrid.from_spacing(structure.cell, 0.25)
    source = model.following()
    first = source(structure, grid)
    again = source(structure, grid)
    assert sum(source.evaluated) == 0
    np.testing.assert_allclose(again.values, first.values, atol=1e-12)
