"""Density, energy and forces from one pass: those of each alone."""

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.learned.energy.potential import sevennet_0
from rhotem.learned.energy.shared import SharedPass
from rhotem.learned.source import Model
from rhotem.structure.model import Structure

CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [0.52, 0.07, 0.46]])


@pytest.fixture(scope="module")
def structure() -> Structure:
    """Without inversion, so that the image differs from the structure."""
    return Structure(ase.Atoms([27, 8, 3, 8], SITES @ CELL, cell=CELL, pbc=True))


def sharp(field: DensityField) -> np.ndarray:
    """Densities around atoms, √(∫ n² d³r) in norm; coefficients of nearly parallel functions may differ by more."""
    radii = field.one_centre[0].radii
    return np.array([part.values for part in field.one_centre]) * radii * np.sqrt(np.gradient(radii))


def test_both_are_those_of_each_alone(structure):
    source, grid = Model(), PeriodicGrid.from_spacing(structure.cell, 0.25)
    alone = source(structure, grid)
    density, energies = source.with_energies(structure, grid)
    expected = sevennet_0().evaluate(structure.numbers, structure.positions, structure.cell)
    np.testing.assert_array_equal(energies.forces, expected.forces)
    assert energies.energy == expected.energy
    # weights of 32 and of 16 bits
    for ours, its in ((density.values, alone.values), (sharp(density), sharp(alone))):
        assert np.linalg.norm(ours - its) < 1e-3 * np.linalg.norm(its)
    assert abs(grid.integrate(density.values) - grid.integrate(alone.values)) < 1e-2


def test_networks_on_something_else_share_nothing(structure):
    source = Model()
    body = source.model.encoder.body.arrays
    body["layers.2.second.1"] = 1.01 * body["layers.2.second.1"]
    with pytest.raises(InputError, match="does not stand on SevenNet-0"):
        SharedPass(source.model, structure)


def test_readouts_without_functions_share_nothing(structure):
    with pytest.raises(InputError, match="a readout made of functions"):
        Model("gated").with_energies(structure, PeriodicGrid.from_spacing(structure.cell, 0.4))
