"""Pixels of diffraction patterns: asked for, reached by a larger supercell or by binning, intensity kept."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.camera import Camera
from rhotem.microscope.plan import make_plan
from rhotem.microscope.presets import get_preset
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Pixelated
from rhotem.microscope.simulate import simulate

from .conftest import COLUMNS, gaussian_slices

SLICES = gaussian_slices((4.2, 6.3), (64, 96), COLUMNS, number=2)
VACUUM = gaussian_slices((4.2, 6.3), (64, 96), COLUMNS, number=1, strength=0.0)
SCAN = Scan((3, 4), (4.2, 6.3))


def seen(step, detectors, slices=SLICES, rng=None, **settings):
    microscope = Microscope(energy=200e3, convergence=20.0, camera_step=step, **settings)
    return simulate([slices], microscope, SCAN, detectors, algorithm="bloch", rng=rng)


def test_binning_keeps_intensity_and_its_mean_angle():
    rng = np.random.default_rng(1)
    pattern = rng.random((2, 61, 51))
    pattern[:, :8] = pattern[:, -8:] = pattern[:, :, :8] = pattern[:, :, -8:] = 0.0
    binned = Camera(1.3).binned(pattern, (0.9, 1.1), 27.0)
    assert binned.shape == (2, 43, 43)
    assert np.allclose(binned.sum(axis=(1, 2)), pattern.sum(axis=(1, 2)))
    own, made = 0.9 * (np.arange(61) - 30), 1.3 * (np.arange(43) - 21)
    moments = np.einsum("pij,i->p", binned, made), np.einsum("pij,i->p", pattern, own)
    assert np.abs(moments[0] - moments[1]).max() < 0.01 * pattern[0].sum()  # mrad per electron
    counts = rng.poisson(9 * pattern)
    caught = Camera(1.3).caught(counts, (0.9, 1.1), 27.0, rng)
    assert np.array_equal(caught.sum(axis=(1, 2)), counts.sum(axis=(1, 2)))
    many = Camera(1.3).caught(np.full((1, 61, 51), 10**6), (0.9, 1.1), 25.0, rng)
    assert np.allclose(many, Camera(1.3).binned(np.full((1, 61, 51), 1e6), (0.9, 1.1), 25.0), rtol=0.01)


@pytest.mark.parametrize("step", [0.4, 1.0, 3.0])
def test_patterns_have_the_pixels_asked_for(step):
    """Vacuum: a disc of the aperture, every pixel inside with its area's share of the beam."""
    images = seen(step, [Pixelated(outer=30)], VACUUM)
    pattern = images.patterns["4D"][0, 0]
    half = int(30 / step + 0.5)
    assert images.angular_step == pytest.approx((step, step)) and pattern.shape == (2 * half + 1, 2 * half + 1)
    assert pattern.sum() == pytest.approx(1.0, abs=1e-4)
    k = step * np.hypot(*np.meshgrid(np.arange(-half, half + 1), np.arange(-half, half + 1)))
    inside = pattern[k < 20 - 1.5 * step - 1.0]
    assert np.allclose(inside, step**2 / (np.pi * 20**2), rtol=0.02)
    assert np.abs(pattern[k > 20 + 1.5 * step + 1.0]).max() < 1e-6
    assert images.diffraction.sum() == pytest.approx(1.0, abs=1e-4)


def test_a_finer_step_takes_a_larger_supercell_and_the_plan_says_so():
    microscope = Microscope(energy=200e3, convergence=20.0)
    plans = [
        make_plan(SLICES, microscope.model_copy(update={"camera_step": s}), SCAN, [Pixelated(outer=30)])
        for s in (None, 0.5)
    ]
    assert max(plans[1].camera) <= 0.5 < max(plans[0].camera)
    assert plans[1].seconds > plans[0].seconds and plans[1].memory > plans[0].memory
    assert f"pixels of {plans[1].camera[0]:.3f}" in str(plans[1])


def test_fine_patterns_binned_are_coarse_ones():
    """Pixels three times as coarse from pixels asked for directly and from fine ones: the same electrons."""
    coarse, fine = (seen(step, [Pixelated(outer=36)]).patterns["4D"] for step in (1.5, 0.5))
    again = Camera(1.5).binned(fine, (0.5, 0.5), 34.0)
    assert np.abs(again[..., 1:-1, 1:-1].sum(axis=(2, 3)) - coarse[..., 2:-2, 2:-2].sum(axis=(2, 3))).max() < 5e-3


def test_electrons_on_the_camera_are_those_of_the_detectors():
    detectors = [Annular(name="BF", outer=20), Annular(name="ADF", inner=25, outer=60), CenterOfMass(outer=30)]
    clean = seen(1.2, detectors)
    images = seen(1.2, [*detectors, Pixelated(outer=36)], rng=np.random.default_rng(2), dose=1e11)
    for name in ("BF", "ADF"):
        assert np.abs(images[name] - clean[name]).max() < 3e-3 * clean[name].max()
    assert np.abs(images["CoMx"] - clean["CoMx"]).max() < 1e-3 * np.ptp(clean["CoMx"])
    quiet = seen(1.2, [Pixelated(outer=36)]).patterns["4D"]
    assert np.abs(images.patterns["4D"] - quiet).max() < 1e-3 * quiet.max()


def test_steps_without_meaning_are_refused():
    with pytest.raises(InputError, match="camera step 40 mrad: larger than a camera to 30 mrad"):
        seen(40.0, [Pixelated(outer=30)])
    with pytest.raises(InputError, match="camera_step"):
        Microscope(camera_step=0.0)
    with pytest.raises(InputError, match="camera step means nothing with parallel illumination"):
        get_preset("saed").adjusted(camera_step=0.5)
