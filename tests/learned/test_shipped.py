"""The weights that come with the package: there, small, and physically right where no label is needed to know."""

import ase
import ase.build
import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.density.charges import hirshfeld_charges
from rhotem.density.fourier import coefficients
from rhotem.density.source import get_source
from rhotem.learned.source import Model
from rhotem.learned.weights import SHIPPED, read_header
from rhotem.structure.model import Structure


@pytest.fixture(scope="module", params=["default", "fast"])
def model(request) -> Model:
    return Model(request.param)


def test_small_and_with_measured_accuracy():
    assert (SHIPPED / "default.safetensors").stat().st_size < 20e6
    accuracy = read_header(SHIPPED / "default.safetensors")["info"]["accuracy"]
    assert 0.0 < accuracy["family"]["deformation_error"] < 1.0
    assert accuracy["unseen"]["structures"] > 0


def test_found_by_name():
    assert isinstance(get_source("model"), Model)


def test_the_bond_charge_of_silicon(model):
    """(222) is forbidden for spherical atoms; VASP's all-electron density gives |F| = 0.355 e per two atoms."""
    structure = Structure(ase.build.bulk("Si", "diamond", a=5.431, cubic=True))
    field = model(structure, PeriodicGrid.from_spacing(structure.cell, 0.2))
    factor = coefficients(field, np.array([[2, 2, 2]]))[0] * structure.volume / 4.0
    assert abs(factor) == pytest.approx(0.355, abs=0.12)


def test_lithium_gives_its_electron_to_oxygen(model):
    """In Li2O the density around Li falls and that around O rises."""
    atoms = _li2o()
    structure = Structure(atoms)
    grid = PeriodicGrid.from_spacing(atoms.cell, 0.15)
    field = model(structure, grid)
    charges = hirshfeld_charges(field)
    assert charges[atoms.numbers == 3].min() > 0.1
    assert charges[atoms.numbers == 8].max() < -0.2
    assert charges.sum() == pytest.approx(0.0, abs=1e-3)


def _li2o() -> ase.Atoms:
    a = 4.62
    cell = 0.5 * a * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    return ase.Atoms("OLi2", scaled_positions=[[0, 0, 0], [0.25] * 3, [0.75] * 3], cell=cell, pbc=True)
