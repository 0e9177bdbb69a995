"""HRTEM and diffraction: weak-phase theory, abTEM, and the sign of contrast."""

from dataclasses import replace

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.optics import aberration_phase
from rhotem.microscope.parallel import parallel_images, spots
from rhotem.microscope.settings import Microscope

from .conftest import COLUMNS, gaussian_slices


def weak(strength=1e-3):
    return gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, width=0.5, number=1, thickness=0.01, strength=strength)


def test_weak_phase_object_has_sine_contrast():
    """I = 1 + 2σ Σ V_g sin χ(g) exp(2πi g·r): the transfer function of a perfectly coherent lens."""
    microscope = Microscope(convergence=1e-3, defocus=200.0, cs=1e5)
    slices = weak()
    image = parallel_images([slices], microscope)["HRTEM"]
    gx, gy = (np.fft.fftfreq(n, d) for n, d in zip((48, 72), slices.sampling, strict=True))
    kx, ky = np.meshgrid(gx, gy, indexing="ij")
    spectrum = np.fft.fft2(slices.array[0]) * np.sin(aberration_phase(kx, ky, microscope))
    expected = 1 + 2 * microscope.interaction * np.fft.ifft2(spectrum).real
    assert np.abs(image - expected).max() < 0.02 * np.abs(expected - 1).max()


def test_atoms_are_dark_at_underfocus():
    image = parallel_images([weak(1e-2)], Microscope(convergence=1e-3, defocus=150.0))["HRTEM"]
    i, j = round(COLUMNS[0][0] / 4.2 * 48), round(COLUMNS[0][1] / 6.3 * 72)
    assert image[i, j] < image.mean() - 0.5 * image.std()


def test_thin_specimen_diffracts_kinematically():
    """|ψ_g|² = (σ V_g)² for a thin specimen."""
    slices, microscope = weak(), Microscope(convergence=1e-3)
    pattern = parallel_images([slices], microscope).diffraction
    v = np.fft.fft2(slices.array[0]) / slices.array[0].size
    h, k = pattern.shape[0] // 2, pattern.shape[1] // 2
    for i, j in ((1, 0), (0, 1), (2, 1), (-1, 3)):
        assert pattern[h + i, k + j] == pytest.approx(abs(microscope.interaction * v[i, j]) ** 2, rel=1e-2)
    rows = spots(parallel_images([slices], microscope))[1:]  # without the direct beam
    assert rows[0]["intensity"] >= rows[1]["intensity"]
    assert rows[0]["angle_mrad"] == pytest.approx(
        np.hypot(rows[0]["i"] / 4.2, rows[0]["j"] / 6.3) * 1e3 * microscope.wavelength
    )


def test_equals_abtem_plane_wave(crystal):
    abtem = pytest.importorskip("abtem")
    slices = crystal[0]
    microscope = Microscope(convergence=1e-3, defocus=80.0, cs=1e5)
    ours = parallel_images([slices], microscope)
    potential = abtem.PotentialArray(slices.array, slice_thickness=slices.thickness, extent=slices.extent)
    exit_wave = abtem.PlaneWave(energy=200e3).multislice(potential, lazy=False)
    # the last slice acts in its middle: abTEM's exit wave is half a slice further on
    defocus = 80.0 + slices.thickness / 2
    theirs = exit_wave.apply_ctf(abtem.CTF(energy=200e3, defocus=defocus, Cs=1e5)).intensity().array
    assert np.abs(ours["HRTEM"] - theirs).max() < 0.01 * theirs.max()


def test_focal_spread_and_dose(crystal):
    slices = crystal[:1]
    sharp = parallel_images(slices, Microscope(convergence=1e-3, defocus=200.0))["HRTEM"]
    blurred = parallel_images(slices, Microscope(convergence=1e-3, defocus=200.0, focal_spread=60.0))["HRTEM"]
    assert blurred.std() < sharp.std() and blurred.mean() == pytest.approx(sharp.mean(), rel=1e-3)
    noisy = parallel_images(slices, Microscope(convergence=0.1, dose=500.0, pixel=None), rng=np.random.default_rng(0))[
        "HRTEM"
    ]
    electrons = 500.0 * 4.2 * 6.3 / noisy.size
    assert np.allclose(noisy * electrons, np.round(noisy * electrons))
    with pytest.raises(InputError, match="rng"):
        parallel_images(slices, Microscope(dose=1.0))
    with pytest.raises(InputError, match="no potential"):
        parallel_images([], Microscope())


def test_error_bar_is_the_scatter_of_images_of_other_displacements():
    rng = np.random.default_rng(3)

    def moved():
        columns = [(x + rng.normal(0, 0.1), y + rng.normal(0, 0.1), height) for x, y, height in COLUMNS]
        slices = gaussian_slices((4.2, 6.3), (48, 72), columns, width=0.5, number=1, thickness=0.01, strength=1e-2)
        return replace(slices, record=slices.record | {"displaced": True})

    microscope = Microscope(convergence=1e-3, defocus=150.0)
    made = [parallel_images([moved() for _ in range(6)], microscope) for _ in range(60)]
    images = np.stack([m["HRTEM"] for m in made])
    scatter = np.sqrt(images.var(axis=0, ddof=1).mean())
    stated = [m.record["phonon_error"]["images"]["HRTEM"]["everywhere"] for m in made]
    assert np.sqrt(np.mean(np.square(stated))) == pytest.approx(scatter, rel=0.15)
    assert "phonon_error" not in parallel_images([moved()], microscope).record
