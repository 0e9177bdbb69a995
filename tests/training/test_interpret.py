"""Maps and populations of single atoms add up to the whole, and follow the atoms."""

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.learned.interpret import contributions, populations
from rhotem.learned.readouts.gated.maps import gate_maps
from rhotem.learned.readouts.gated.settings import GatedSettings
from rhotem.learned.settings import ModelSettings, NequipSettings
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_learned
from rhotem.training.network.model import DensityModel, make_model

SMALL = NequipSettings(channels=4, scalars=8, embedding=4, radial_width=8, lmax_sent=1, layers=1)
CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [0.52, 0.07, 0.46]])


def crystal(charge: float = 0.0) -> Structure:
    return Structure(ase.Atoms([27, 8, 3, 8], SITES @ CELL, cell=CELL, pbc=True), charge=charge)


def make(readout: str) -> DensityModel:
    gated = GatedSettings(channels=4, functions=8, radial_width=8, width=8, cutoff=3.0)
    settings = ModelSettings(readout=readout, nequip=SMALL, gated=gated, elements=[3, 8, 27])
    return make_model(settings, seed=4).double().eval()


@pytest.mark.parametrize("readout", ["spherical", "gated"])
def test_contributions_sum_to_the_density(readout):
    model, s, grid = as_learned(make(readout)), crystal(), PeriodicGrid(CELL, (14, 15, 16))
    whole = model.readout.values(model.readout.prepare(s), s, grid)
    np.testing.assert_allclose(contributions(model, s, grid, range(4)).sum(0), whole, atol=1e-9)


@pytest.mark.parametrize("readout", ["spherical", "gated"])
@pytest.mark.parametrize("charge", [0.0, 0.7])
def test_populations_sum_to_the_charge_and_are_integrals_of_the_maps(readout, charge):
    shape = (12, 13, 14) if readout == "gated" else (40, 42, 46)
    model, s, grid = as_learned(make(readout)), crystal(charge), PeriodicGrid(CELL, shape)
    found = populations(model, s, grid)
    assert found.electrons.sum() == pytest.approx(-charge, abs=1e-9)
    maps = contributions(model, s, grid, range(4))
    integrals = maps.reshape(4, -1).sum(1) * grid.voxel_volume
    # the analytic populations see the sharp functions exactly, a grid of 0.1 Å nearly
    np.testing.assert_allclose(integrals, found.electrons, atol=1e-9 if readout == "gated" else 5e-3)
    assert found.correction_share >= 0.0


def test_shares_of_all_atoms_and_the_empty_channel_are_one():
    model, s, grid = as_learned(make("gated")), crystal(), PeriodicGrid(CELL, (8, 9, 10))
    maps = gate_maps(model, s, grid, [0, 1, 2, 3])
    np.testing.assert_allclose(maps.weight.sum(0) + maps.empty, 1.0, atol=1e-12)
    assert maps.weight.min() >= 0.0 and maps.empty.min() > 0.0


def test_maps_follow_their_atom():
    model, s, grid = as_learned(make("gated")), crystal(), PeriodicGrid(CELL, (8, 9, 10))
    order = [2, 0, 3, 1]
    permuted = Structure(s.atoms[order])
    np.testing.assert_allclose(
        contributions(model, permuted, grid, [0, 3]), contributions(model, s, grid, [2, 1]), atol=1e-10
    )
    np.testing.assert_allclose(
        populations(model, permuted).electrons, populations(model, s).electrons[order], atol=1e-9
    )


def test_what_cannot_be_shown():
    s, grid = crystal(), PeriodicGrid(CELL, (4, 4, 4))
    with pytest.raises(InputError, match="no gate"):
        gate_maps(as_learned(make("spherical")), s, grid, [0])
    with pytest.raises(InputError, match="from 0 to 3"):
        contributions(as_learned(make("spherical")), s, grid, [4])
