"""Parts of pixels inside discs: areas, and what they do to the brightness of a bright field."""

import numpy as np
import pytest

from rhotem.microscope.optics import aperture, disc_part
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope
from rhotem.microscope.simulate import simulate

from .conftest import gaussian_slices


@pytest.mark.parametrize("step", [(0.064, 0.064), (0.041, 0.07), (0.3, 0.2)])
@pytest.mark.parametrize("radius", [0.1, 0.4386, 0.877])
def test_parts_sum_up_to_the_area_of_the_disc(radius, step):
    """π r², whatever the grid: the bright field of vacuum is a ratio of two of them."""
    kx, ky = (h * np.arange(-40, 41) for h in step)
    parts = disc_part(kx[:, None], ky[None], radius, step)
    assert parts.sum() * step[0] * step[1] == pytest.approx(np.pi * radius**2, rel=1e-12)
    assert parts.min() == 0 and parts.max() <= 1


def test_a_part_is_that_of_points_of_the_pixel(rng):
    step, radius = (0.06, 0.045), 0.35
    around = rng.uniform(-0.5, 0.5, (100_000, 2)) * step
    for centre in rng.uniform(-0.45, 0.45, (30, 2)):
        inside = (np.linalg.norm(centre + around, axis=1) < radius).mean()
        assert disc_part(*centre, radius, step) == pytest.approx(inside, abs=6e-3)


def test_an_aperture_within_a_pixel_passes_its_beam_whole():
    k = 0.05 * np.arange(-2, 3)
    parts = aperture(k[:, None], k[None], Microscope(convergence=1e-6), (0.05, 0.05))
    assert parts[2, 2] == 1 and parts.sum() == 1


@pytest.mark.parametrize("extent", [(4.2, 6.3), (3.9, 3.9), (5.3, 4.7)])
def test_vacuum_shows_each_ring_its_part_of_the_disc(extent):
    """(11/22)² of the beam in a bright field to 11 mrad, whatever the supercell."""
    vacuum = gaussian_slices(extent, (48, 48), (), number=1)
    detectors = (Annular(name="BF", outer=11), Annular(name="ABF", inner=11, outer=22))
    images = simulate([vacuum], Microscope(convergence=22), Scan((2, 2), extent), detectors)
    np.testing.assert_allclose(images["BF"], 0.25, rtol=1e-5)
    np.testing.assert_allclose(images["ABF"], 0.75, rtol=1e-5)
