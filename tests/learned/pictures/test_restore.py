"""Restorations: a weak object comes back from its own images, and noise is what the filter is told."""

import numpy as np
import pytest

from rhotem.core.units import wavelength
from rhotem.learned.pictures.restore import filtered, linear_wave, picture_inputs, series_inputs, transfer

SAID = {"pixel_A": 0.3, "energy_keV": 300.0, "foci_nm": [-16, -8, 0, 8, 16], "cs_nm": -15e3, "focal_spread_A": 30.0}
SAID |= {"objective_mrad": 15.0, "dose_e_per_A2": 1e9}


@pytest.fixture
def weak(rng) -> np.ndarray:
    """A weak wave with beams of the middle of the aperture, amplitude and phase."""
    n = 64
    g = np.fft.fftfreq(n, SAID["pixel_A"])
    size = np.hypot(*np.meshgrid(g, g, indexing="ij"))
    limit = 1e-3 * SAID["objective_mrad"] / wavelength(300e3)
    beams = (size > 0.35) & (size < 0.95 * limit)
    spectrum = np.where(beams, rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n)), 0.0)
    wave = np.fft.ifft2(spectrum)
    return 1e-3 * wave / np.abs(wave).max()


def images_of(wave: np.ndarray) -> np.ndarray:
    """Images of 1 + wave with a mean over foci of a Gaussian spread, evaluated focus by focus."""
    n = len(wave)
    g = np.fft.fftfreq(n, SAID["pixel_A"])
    g2 = np.add.outer(g**2, g**2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    result = []
    for focus in SAID["foci_nm"]:
        total = 0.0
        for node, weight in zip(nodes, weights / weights.sum(), strict=True):
            lens = (np.array([focus]) + 0.1 * SAID["focal_spread_A"] * node, SAID["cs_nm"], 0.0)
            seen = np.fft.ifft2(np.fft.fft2(1 + wave) * transfer(g2, wavelength(300e3), lens)[0])
            total = total + weight * np.abs(seen) ** 2
        result.append(total)
    return np.array(result)


def test_a_weak_object_comes_back(weak):
    """To a few per mille: what is left is second order in the wave (1e-3)."""
    found = linear_wave(images_of(weak), SAID, noise=1e-7)
    assert np.linalg.norm(found - weak) < 0.01 * np.linalg.norm(weak)


def test_more_noise_is_trusted_less(weak):
    images = images_of(weak)
    strength = [np.linalg.norm(linear_wave(images, SAID, noise=n)) for n in (1e-6, 0.5, 5.0)]
    assert strength[0] > strength[1] > strength[2]


def test_nothing_beyond_the_aperture(rng):
    spectrum = np.fft.fft2(linear_wave(1 + 0.1 * rng.normal(size=(5, 48, 48)), SAID))
    g = np.fft.fftfreq(48, SAID["pixel_A"])
    beyond = np.add.outer(g**2, g**2) > (1e-3 * SAID["objective_mrad"] / wavelength(300e3)) ** 2
    assert np.abs(spectrum[beyond]).max() < 1e-4 * np.abs(spectrum).max()


def test_transfer_is_that_of_the_microscope():
    """Of conventions: χ of `rhotem.microscope.optics.aberration_phase`."""
    from rhotem.microscope.instrument import Microscope
    from rhotem.microscope.optics import aberration_phase

    g = np.linspace(0.0, 0.8, 9)
    microscope = Microscope(energy=300e3, defocus=80.0, cs=-1.5e5)
    expected = np.exp(-1j * aberration_phase(g, 0 * g, microscope))
    np.testing.assert_allclose(transfer(g**2, wavelength(300e3), ([8.0], -1.5e4, 0.0))[0], expected, atol=1e-9)


def test_what_networks_see_has_the_scale_of_the_picture(rng):
    """A pattern of standard deviation 0.0071, though the noise's is up to 0.04."""
    pattern = 0.01 * np.sin(2 * np.pi * np.arange(96) / 12)[:, None] * np.ones(96)
    for noise in (0.0, 0.01, 0.04):
        seen, mean, spread = picture_inputs(7 + pattern + noise * rng.normal(size=(96, 96)))
        assert seen.shape == (3, 96, 96) and mean == pytest.approx(7, abs=0.01)
        assert 0.95 < spread / (0.01 / np.sqrt(2)) < 1.4
    assert series_inputs(1 + 0.1 * rng.normal(size=(5, 32, 32)), SAID).shape == (7, 32, 32)


def test_a_filter_keeps_a_lattice_and_takes_noise(rng):
    """A lattice that does not fit the picture: what is left of white noise is a small part."""
    y, x = np.mgrid[:128, :128]
    lattice = np.cos(0.61 * x + 0.2 * y) + np.cos(0.7 * y - 0.13 * x)
    white = 2.0 * rng.normal(size=lattice.shape)
    found = filtered(5 + lattice + white, (4.0,))[0]
    inside = slice(6, -6)
    left = found[inside, inside] - 5 - lattice[inside, inside]
    assert np.std(left) < 0.2 * np.std(white)
    again = filtered(5 + lattice, (4.0,))[0]  # without noise nothing is lost but what leaks between beams
    assert np.std(again[inside, inside] - 5 - lattice[inside, inside]) < 0.1 * np.std(lattice)


def test_a_ramp_is_no_lattice():
    ramp = np.add.outer(np.arange(64.0), np.arange(96.0))
    np.testing.assert_allclose(filtered(ramp, (1.0,))[0], ramp, atol=0.02 * np.ptp(ramp))
