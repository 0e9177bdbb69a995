"""What iDPC in rad means: weak-phase transfer of four segments against simulations of weak objects."""

import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.microscope.detectors.transfer import height_of_atoms, phase_transfer
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import CenterOfMass, Microscope, Segmented
from rhotem.microscope.simulate import simulate
from rhotem.potential.slices import PotentialSlices


@pytest.mark.parametrize("aberrations", [{}, {"defocus": 25.0}])
@pytest.mark.parametrize("spatial", [2, 4, 6])
def test_transfer_is_what_a_simulation_of_a_weak_grating_shows(spatial, aberrations):
    """Phase 0.01 cos 2πqx with q at 0.23, 0.46 and 0.68 of 2α/λ: iDPC and iCoM have the heights of the formulas."""
    microscope = Microscope(energy=200e3, convergence=22.0, **aberrations)
    extent, shape = (5.0, 5.0), (100, 100)
    x = np.arange(shape[0]) / shape[0] * extent[0]
    q = spatial / extent[0]
    phase = 0.01 * np.cos(2 * np.pi * q * x)[:, None] * np.ones(shape[1])
    grid = PeriodicGrid(np.diag([*extent, 1e-3]), (*shape, 1))
    slices = PotentialSlices((phase / microscope.interaction)[None].astype(np.float32), grid, 0.0)
    detectors = [Segmented(inner=6, outer=22), CenterOfMass(outer=60.0)]
    images = simulate([slices], microscope, Scan((20, 2), extent), detectors, algorithm="bloch")
    expected = phase_transfer(detectors[0], microscope, q, 0.0)
    for name, value in zip(("iDPC", "iCoM"), expected, strict=True):
        found = 2 * np.fft.fft(images[name].mean(axis=1))[spatial] / 20
        assert found == pytest.approx(0.01 * value, abs=0.02 * 0.01)


def test_atoms_are_higher_in_idpc_than_in_icom_and_slow_phases_are_not():
    found = height_of_atoms(Segmented(inner=6, outer=22), Microscope(energy=200e3, convergence=22.0))
    assert 1.2 < found["atoms"] < 1.35
    assert found["slow"] == pytest.approx(1.0, abs=0.02)
    assert height_of_atoms(Segmented(inner=6, outer=22), Microscope(convergence=22.0, defocus=500.0)) == {}
