"""Exit wave, hologram and precession of a parallel beam, in limits with a formula."""

import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.microscope.parallel import parallel_images
from rhotem.microscope.presets import get_preset
from rhotem.microscope.settings import Microscope
from rhotem.potential.slices import PotentialSlices

from .conftest import COLUMNS, gaussian_slices


def projected(slices):
    return slices.array.sum(axis=0)


def test_the_exit_wave_of_a_thin_object_is_its_phase():
    """ψ = exp(iσV_z) for one thin slice, whatever its strength; |ψ|² has the mean 1 (Parseval)."""
    one = gaussian_slices((4.2, 6.3), (96, 144), COLUMNS, number=1, thickness=1e-3, width=0.3, strength=10)
    microscope = Microscope(energy=200e3, convergence=0.1)
    images = parallel_images([one], microscope)
    wave, phase = images.exit_wave, microscope.interaction * projected(one)
    assert phase.max() > 1.0
    assert np.abs(wave - np.exp(1j * phase)).max() < 1e-3
    assert (np.abs(wave) ** 2).mean() == pytest.approx(1.0, abs=1e-4)
    # without a lens the image is its intensity
    assert np.allclose(images["HRTEM"], np.abs(wave) ** 2, atol=2e-3)


def test_the_mean_exit_wave_of_equal_cells_is_that_of_one():
    one = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=4)
    two = PotentialSlices(
        np.tile(one.array, (1, 2, 1)), PeriodicGrid(np.diag([8.4, 6.3, one.grid.cell[2, 2]]), (96, 72, 4)), 0.0
    )
    microscope = Microscope(energy=200e3, convergence=0.1)
    single = parallel_images([one], microscope).exit_wave
    assert np.abs(parallel_images([two], microscope, repeats=(2, 1)).exit_wave - single).max() < 1e-5


@pytest.mark.parametrize("strength", [0.01, 0.3])
def test_the_phase_of_a_hologram_is_the_projected_potential(strength):
    """In focus and coherent: σV_z within the aperture, for weak and for strong thin objects."""
    one = gaussian_slices((4.2, 6.3), (96, 144), COLUMNS, number=1, thickness=1e-3, width=0.3, strength=strength)
    microscope = Microscope(energy=300e3, convergence=0.05)
    images = parallel_images([one], microscope, hologram=True)
    expected = microscope.interaction * projected(one)
    assert np.abs(images["phase"] - expected).max() < 2e-3 * expected.max() + 1e-4
    assert np.abs(images["amplitude"] - 1).max() < 2e-3
    assert images.unit("phase") == "rad" and "HRTEM" not in images.images


def test_focal_spread_and_aperture_damp_the_phase_as_in_linear_imaging():
    """A weak grating: its phase times exp(−(πλΔq²)²/2) cos χ; nothing beyond the objective aperture."""
    extent, shape = (5.0, 5.0), (96, 96)
    x = np.arange(96) / 96 * extent[0]
    grid = PeriodicGrid(np.diag([*extent, 1e-3]), (*shape, 1))
    microscope = Microscope(energy=300e3, convergence=0.05, focal_spread=60.0, defocus=80.0)
    phase = 0.01 * np.cos(2 * np.pi * 4 * x / 5)[:, None] * np.ones(96)
    slices = PotentialSlices((phase / microscope.interaction)[None].astype(np.float32), grid, 0.0)
    images = parallel_images([slices], microscope, hologram=True)
    q, wavelength = 4 / 5, microscope.wavelength
    angle = 0.05e-3 / wavelength
    slope = 2 * np.pi * wavelength * 80.0 * q
    factor = np.exp(-((np.pi * wavelength * 60 * q**2) ** 2) / 2 - angle**2 * slope**2 / 2)
    factor *= np.cos(np.pi * wavelength * 80 * q**2)
    shown = 2 * np.fft.fft(images["phase"].mean(axis=1))[4] / 96
    assert shown == pytest.approx(0.01 * factor, rel=0.01) and factor < 0  # beyond the first zero
    closed = microscope.model_copy(update={"objective": 1e3 * wavelength * 0.6})
    assert np.ptp(parallel_images([slices], closed, hologram=True)["phase"]) < 1e-6


def test_precession_averages_kinematic_intensities_over_the_cone():
    """Weak crystal of thickness t: I_g = (σ|V_g|t)² ⟨sinc²(s t)⟩, s = λg²/2 + g·τ over the azimuths of τ."""
    number, angle = 60, 20.0
    crystal = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=number, thickness=2.0, width=0.3, strength=2e-3)
    microscope = Microscope(energy=200e3, convergence=0.1, precession=angle)
    pattern = parallel_images([crystal], microscope).plane_wave
    still = parallel_images([crystal], microscope.model_copy(update={"precession": 0.0})).plane_wave
    v = np.fft.fft2(projected(crystal)) / crystal.array[0].size
    centre, t = np.array(pattern.elastic.shape) // 2, 2.0 * number
    azimuth = 2 * np.pi * np.arange(720) / 720
    for i, j in ((1, 0), (0, 2), (2, 1), (-1, 3), (3, -2)):
        g = np.array([i / 4.2, j / 6.3])
        kinematic = (microscope.interaction * abs(v[i, j])) ** 2
        tilts = np.tan(1e-3 * angle * np.cos(azimuth)), np.tan(1e-3 * angle * np.sin(azimuth))
        s = microscope.wavelength * (g @ g) / 2 + g[0] * tilts[0] + g[1] * tilts[1]
        place = (centre[0] + i, centre[1] + j)
        assert pattern.elastic[place] == pytest.approx(kinematic * (np.sinc(s * t) ** 2).mean(), rel=0.02), (i, j)
        on_axis = np.sinc(microscope.wavelength * (g @ g) / 2 * t) ** 2
        assert still.elastic[place] == pytest.approx(kinematic * on_axis, rel=0.02), (i, j)
    assert pattern.elastic.sum() + pattern.diffuse.sum() == pytest.approx(1.0, abs=1e-4)


def test_precession_makes_no_image_and_belongs_to_diffraction():
    images = parallel_images(
        [gaussian_slices((4.2, 6.3), (48, 72), COLUMNS)], Microscope(convergence=0.1, precession=5.0)
    )
    assert not images.images and images.exit_wave is None and images.record["beams"] > 12
    with pytest.raises(InputError, match="precession means nothing with a scanned probe for stem"):
        get_preset("layered-oxide").adjusted(precession=10.0)
    with pytest.raises(InputError, match="choose a preset such as saed"):
        get_preset("hrtem").adjusted(precession=10.0)
