"""Virtual detectors of 4D patterns against detectors recorded beside them."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Microscope, Pixelated, Segmented
from rhotem.microscope.simulate import simulate
from rhotem.microscope.virtual import virtual_images

from .conftest import COLUMNS, gaussian_slices

MICROSCOPE = Microscope(energy=200e3, convergence=20.0)
SLICES = gaussian_slices((4.2, 6.3), (60, 90), COLUMNS, number=3)
DETECTORS = [
    Annular(name="ABF", inner=8, outer=15),
    Annular(name="ADF", inner=28, outer=55),
    Segmented(inner=5, outer=15, segments=8, rotation=10.0),
    CenterOfMass(outer=50),
]


def test_virtual_detectors_are_the_recorded_ones():
    scan = Scan((6, 8), SLICES.extent)
    images = simulate([SLICES], MICROSCOPE, scan, [*DETECTORS, Pixelated(outer=60)], algorithm="bloch")
    found = virtual_images(images, DETECTORS)
    assert set(found) == set(images.images)
    for name, image in found.items():
        assert np.abs(image - images[name]).max() < 1e-4 * np.abs(images[name]).max(), name


def test_virtual_detectors_count_the_electrons_of_the_patterns():
    """Whole patterns hold all electrons that fell on the camera."""
    microscope, rng = MICROSCOPE.model_copy(update={"dose": 300.0}), np.random.default_rng(1)
    scan = Scan((6, 8), SLICES.extent)
    images = simulate([SLICES], microscope, scan, [Pixelated(outer=60)], algorithm="bloch", rng=rng)
    electrons = 300.0 * 4.2 / 6 * 6.3 / 8
    disc = virtual_images(images, [Annular(name="disc", outer=60, edges="hard")])["disc"] * electrons
    assert np.allclose(disc, np.rint(disc), atol=1e-2)
    assert disc.mean() == pytest.approx(electrons, rel=0.1)


def test_what_patterns_do_not_hold_is_refused():
    images = simulate([SLICES], MICROSCOPE, Scan((2, 2), SLICES.extent), [Pixelated(outer=40)], algorithm="bloch")
    with pytest.raises(InputError, match="reaches 55 mrad, the patterns"):
        virtual_images(images, DETECTORS)
    with pytest.raises(InputError, match="there are 4D"):
        virtual_images(images, DETECTORS[:1], "camera")
    with pytest.raises(InputError, match="--detector 4D=40"):
        virtual_images(simulate([SLICES], MICROSCOPE, None, DETECTORS[:1], algorithm="bloch"), DETECTORS[:1])


def test_a_detector_that_ends_with_the_aperture_is_warned_about():
    """The rim's pixels are lit in part: an ABF to the edge of the disc takes per cents of the beam from beyond it."""
    images = simulate([SLICES], MICROSCOPE, Scan((2, 2), SLICES.extent), [Pixelated(outer=40)], algorithm="bloch")
    with pytest.warns(UserWarning, match="ABF ends at 20 mrad, where the aperture does"):
        virtual_images(images, [Annular(name="ABF", inner=8, outer=20)])
