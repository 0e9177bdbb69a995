"""Displacements: limits of the Debye model, measured values, 0 K."""

from itertools import pairwise

import numpy as np
import pytest
from ase import Atoms

from rhotem.core import InputError
from rhotem.structure.debye_waller import (
    classify,
    debye_displacement,
    debye_temperature,
    mean_square_displacements,
)
from rhotem.structure.model import Structure
from rhotem.structure.phases import describe, names, phase


def test_high_temperature_limit_is_equipartition():
    """k T per mode: ⟨u²⟩ = 3 ħ² T / (M k Θ²) for T >> Θ, constants from CODATA."""
    hbar, k, u = 1.054571817e-34, 1.380649e-23, 1.66053906660e-27
    expected = 3 * hbar**2 * 5000 / (28.0 * u * k * 200.0**2) * 1e20
    assert debye_displacement(28.0, 200.0, 5000.0) == pytest.approx(expected, rel=1e-3)


def test_zero_point_limit():
    hbar, k, u = 1.054571817e-34, 1.380649e-23, 1.66053906660e-27
    assert debye_displacement(28.0, 500.0, 0.0) == pytest.approx(3 * hbar**2 / (4 * 28 * u * k * 500) * 1e20, rel=1e-4)


def test_silicon_is_consistent_with_its_debye_temperature():
    """B(Si) = 0.4632 Å² (S. Cummings, M. Hart) and the X-ray Debye temperature of Si, 531–543 K, say the same."""
    values, source = mean_square_displacements(phase("Si"))
    assert 8 * np.pi**2 * values[0] == pytest.approx(0.4632, rel=2e-3)
    assert 525 < debye_temperature(28.0855, float(values[0])) < 550
    assert "Cummings" in source


def test_nothing_moves_at_zero_kelvin_classically():
    values, source = mean_square_displacements(phase("LiCoO2"), 0.0, zero_point=False)
    assert values.shape == (12,) and (values == 0.0).all() and "classical" in source


def test_quantum_scaling_is_monotone_and_hits_the_table():
    structure = phase("LiFePO4")
    series = [mean_square_displacements(structure, t)[0] for t in (0.0, 100.0, 299.999, 300.0, 600.0)]
    assert all((later > earlier).all() for earlier, later in pairwise(series))
    assert np.allclose(series[2], series[3], rtol=1e-4)
    assert (series[4] > 1.7 * series[3]).all() and (series[4] < 2.0 * series[3]).all()
    assert (series[0] > 0.1 * series[3]).all()


def test_defaults_are_named():
    odd = Structure(Atoms("UN", cell=np.eye(3) * 4, scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]]))
    values, source = mean_square_displacements(odd)
    assert "N, U: default, Debye model with 500 K" in source
    assert values[1] > values[0] > 0  # light atoms move more


@pytest.mark.parametrize("name", names())
def test_elements_alone_tell_the_class(name):
    assert classify(Structure(phase(name).atoms)) == describe(name)["class"]


@pytest.mark.parametrize("temperature", [-1.0, np.nan])
def test_bad_temperatures(temperature):
    with pytest.raises(InputError, match="temperature"):
        mean_square_displacements(phase("Si"), temperature)
