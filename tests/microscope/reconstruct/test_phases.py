"""Single sideband and integrated centre of mass of a thin object with a known projected potential."""

import dataclasses

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.reconstruct.data import ScannedPatterns
from rhotem.microscope.reconstruct.registry import make_method

from .objects import CELL, MICROSCOPE, expected, patterns


def lens(distance, radius=1.0):
    """Area in which two discs overlap."""
    d = np.clip(distance / (2 * radius), 0, 1)
    return 2 * radius**2 * (np.arccos(d) - d * np.sqrt(1 - d**2))


def ratios(image, microscope, strength=1.0):
    """Frequencies over the aperture, and found over expected Fourier coefficients of σV."""
    q, coefficients = expected(microscope, image.shape, strength)
    found = np.fft.fft2(image, norm="forward")
    strong = (np.abs(coefficients) > 1e-3 * np.abs(coefficients).max()) & (q > 0)
    q = q * microscope.wavelength / (1e-3 * microscope.convergence)
    return q[strong], found[strong] / coefficients[strong]


@pytest.mark.parametrize(
    "changes", [{}, {"defocus": 120.0}, {"defocus": -60.0, "aberrations": {"C12": 40.0, "phi12": 0.7}}]
)
def test_single_sideband_is_the_projected_potential(changes):
    """Within 5 % at every frequency of the band; a wrong sign, a transpose or an uncorrected lens makes it another."""
    microscope = MICROSCOPE.model_copy(update=changes)
    image = make_method("ssb").reconstruct(patterns(microscope))["SSB"]
    q, ratio = ratios(image, microscope)
    band = q < 1.85
    assert np.abs(ratio[band] - 1).max() < 0.05
    assert np.abs(ratio[band].mean() - 1) < 0.01


def test_a_lens_that_is_not_corrected_shows():
    held = patterns(MICROSCOPE.model_copy(update={"defocus": 120.0}))
    image = make_method("ssb").reconstruct(dataclasses.replace(held, microscope=MICROSCOPE))["SSB"]
    q, ratio = ratios(image, MICROSCOPE)
    assert np.abs(ratio[q < 1.85] - 1).mean() > 0.3


def test_integrated_centre_of_mass_is_the_phase_blurred_by_the_probe():
    """In focus the transform of the probe is the overlap of two apertures."""
    image = make_method("icom").reconstruct(patterns(MICROSCOPE))["iCoM"]
    q, ratio = ratios(image, MICROSCOPE)
    assert np.abs(ratio - lens(q) / np.pi).max() < 0.02


@pytest.mark.parametrize("name, image", [("ssb", "SSB"), ("icom", "iCoM")])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_cameras_give_the_same_phase(name, image, turns):
    """A camera whose kx axis lies at turns × 90° from x towards y: index i of it looks along that direction."""
    held = patterns(MICROSCOPE.model_copy(update={"defocus": 50.0}), outer=30.0)
    there = make_method(name).reconstruct(held)[image]
    data, step = held.data, held.angular_step
    for _ in range(turns):  # new[i, j] = old at kx = −j, ky = i
        data, step = data[:, :, ::-1, :].swapaxes(2, 3), step[::-1]
    turned = dataclasses.replace(held, data=data, angular_step=step, rotation=90.0 * turns)
    assert np.abs(make_method(name).reconstruct(turned)[image] - there).max() < 1e-3 * np.ptp(there)


def test_noise_is_that_of_the_electrons(rng):
    """Variance of a frequency is 1 / (electrons × transfer); the transfer is 2 (lens(Q) − lens(2Q)) of the disc."""
    held = patterns(MICROSCOPE)
    electrons = 2e4
    shares = held.data.astype(float) * electrons
    made = [
        make_method("ssb", least_transfer=0.1).reconstruct(
            dataclasses.replace(held, data=rng.poisson(shares).astype(np.float32), electrons=electrons)
        )
        for _ in range(3)
    ]
    clean = make_method("ssb", least_transfer=0.1).reconstruct(held)["SSB"]
    seen = np.sqrt(np.mean([(one["SSB"] - clean) ** 2 for one in made]))
    q, _ = expected(MICROSCOPE, clean.shape)
    q = q * MICROSCOPE.wavelength / (1e-3 * MICROSCOPE.convergence)
    transfer = 2 * (lens(q) - lens(2 * q)) / np.pi
    kept = np.abs(np.fft.fft2(clean)) > 1e-9
    formula = np.sqrt((1 / transfer[kept & (transfer > 0.05)]).sum() / (electrons * clean.size))
    assert seen == pytest.approx(formula, rel=0.1)
    assert made[0].record["reconstruction"]["noise_rad"] == pytest.approx(formula, rel=0.05)


def test_a_camera_of_large_pixels_is_modelled():
    """Pixels of a camera average: 1.9 mrad in a disc of 20 mrad, out of focus, within 5 % in the mean."""
    fine = patterns(MICROSCOPE.model_copy(update={"defocus": 60.0}), outer=31.0)
    nx, ny = fine.data.shape[2:]
    half = (nx // 2 - 1) // 3, (ny // 2 - 1) // 3
    cut = [slice(n // 2 - 3 * h - 1, n // 2 + 3 * h + 2) for n, h in zip((nx, ny), half, strict=True)]
    inner = fine.data[:, :, cut[0], cut[1]]
    binned = inner.reshape(*inner.shape[:2], 2 * half[0] + 1, 3, 2 * half[1] + 1, 3).sum(axis=(3, 5))
    step = (3 * fine.angular_step[0], 3 * fine.angular_step[1])
    held = dataclasses.replace(fine, data=binned, angular_step=step, integrating=True)
    q, ratio = ratios(make_method("ssb").reconstruct(held)["SSB"], MICROSCOPE)
    assert np.abs(ratio[(q > 0.3) & (q < 1.7)].mean() - 1) < 0.05


def test_what_cannot_be_reconstructed_is_refused():
    held = patterns(MICROSCOPE, shape=(8, 10), outer=30.0)
    with pytest.raises(InputError, match=r"too coarse for 20 mrad at 200 kV, the image aliases; scan at 0\.313 Å"):
        make_method("ssb").reconstruct(held)
    with pytest.raises(InputError, match="no scale of the scan"):
        ScannedPatterns.of(held.data, 0.0, 1.0, MICROSCOPE)
    with pytest.raises(InputError, match="no angular scale"):
        ScannedPatterns.of(held.data, 0.2, 0.0, MICROSCOPE)
    with pytest.raises(InputError, match=r"patterns reach .* not the whole disc of 60 mrad"):
        dataclasses.replace(held, microscope=MICROSCOPE.model_copy(update={"convergence": 60.0}))
    with pytest.raises(InputError, match="fewer than 4; record finer patterns"):
        dataclasses.replace(held, microscope=MICROSCOPE.model_copy(update={"convergence": 1.5}))
    with pytest.raises(InputError, match="off the middle pixel; centre the patterns"):
        dataclasses.replace(held, data=np.roll(held.data, 5, axis=2))
    with pytest.raises(InputError, match="not known; choose one of ssb, icom"):
        make_method("wdd")
    with pytest.raises(InputError, match="--method icom has no slices"):
        make_method("icom", slices=2)


def test_discs_that_do_not_overlap_transfer_nothing():
    """Bragg discs of 1.5 mrad and a cell of 7 × 9 Å: no frequency of the scan lies below 2 α/λ."""
    narrow = MICROSCOPE.model_copy(update={"convergence": 1.2})
    kx, ky = np.meshgrid(0.2 * np.arange(-15, 16), 0.2 * np.arange(-15, 16), indexing="ij")
    data = np.broadcast_to((np.hypot(kx, ky) < 1.2).astype(np.float32), (4, 5, 31, 31))
    held = ScannedPatterns(data, patterns(MICROSCOPE, shape=(4, 5)).scan, (0.2, 0.2), narrow)
    with pytest.raises(InputError, match=r"no overlap of discs: 1.2 mrad transfers only details above 10.4 Å"):
        make_method("ssb").reconstruct(held)
    assert max(CELL) < 10.4
