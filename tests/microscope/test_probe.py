"""The incident probe against the Airy disc, a wide source, and what aberrations do."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import j0, j1

from rhotem.microscope.probe import draw_probe, incident_probe
from rhotem.microscope.settings import Microscope


def test_a_probe_without_aberrations_is_the_airy_disc():
    """Half maximum at 2πrα/λ = 1.6163, half of the beam within 1 − J0² − J1² = ½; the peak is πα²/λ²."""
    microscope = Microscope(energy=200e3, convergence=22.0)
    found = incident_probe(microscope).numbers()
    scale = microscope.wavelength / (2 * np.pi * 22e-3)
    half = brentq(lambda v: (2 * j1(v) / v) ** 2 - 0.5, 0.5, 3)
    held = brentq(lambda v: 1 - j0(v) ** 2 - j1(v) ** 2 - 0.5, 0.5, 3)
    assert found["fwhm"] == pytest.approx(2 * half * scale, rel=0.01)
    assert found["d50"] == pytest.approx(2 * held * scale, rel=0.02)
    assert found["peak"] == pytest.approx(np.pi * (22e-3 / microscope.wavelength) ** 2, rel=0.02)


def test_a_wide_source_makes_a_gaussian():
    """Variances add, so a source ten times as wide as the probe has its width nearly alone."""
    found = incident_probe(Microscope(energy=300e3, convergence=25.0, source_size=4.0)).numbers()
    assert found["fwhm"] == pytest.approx(4.0, rel=0.03)
    assert found["d50"] == pytest.approx(4.0, rel=0.06)  # of a Gaussian half lies within its half width


def test_defocus_widens_and_holds_the_beam():
    wide = incident_probe(Microscope(convergence=20.0, defocus=400.0))
    assert wide.intensity.sum() * wide.step**2 == pytest.approx(1.0)
    # geometric: a uniform disc of radius αΔf holds half within 1/√2 of it
    assert wide.numbers()["d50"] == pytest.approx(2 * 20e-3 * 400 / np.sqrt(2), rel=0.08)


def test_coma_shifts_the_maximum_along_its_azimuth():
    probe = incident_probe(Microscope(convergence=20.0, aberrations={"C21": 1e4, "phi21": 0.0}))
    ix, iy = np.unravel_index(probe.intensity.argmax(), probe.intensity.shape)
    middle = len(probe.intensity) // 2
    assert abs(iy - middle) <= 1 < abs(ix - middle)


def test_picture(tmp_path):
    draw_probe(incident_probe(Microscope()), tmp_path / "probe.png", "200 kV")
    assert (tmp_path / "probe.png").stat().st_size > 10_000
