"""Parts of pixels inside discs: areas, and what they do to the brightness of a bright field."""

import numpy as np
import pytest

from rhotem.microscope.bloch import BlochEngine
from rhotem.microscope.derive import derive_images
from rhotem.microscope.detectors import channels, integral_weight, weight
from rhotem.microscope.optics import (
    aberration_phase,
    aperture,
    aperture_weights,
    disc_part,
    opening_of,
    probe_radius,
    quadrature,
)
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope, Segmented
from rhotem.microscope.simulate import simulate
from rhotem.potential.slices import PotentialSlices

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


@pytest.mark.parametrize("thickness", [0.0, 300.0])
def test_the_farthest_ray_is_where_the_phase_is_steepest(thickness):
    """|∇χ/2π + tλk| by finite differences of χ on a fine grid of the aperture, of six aberrations."""
    lens = Microscope(
        energy=200e3,
        convergence=25.0,
        defocus=80.0,
        cs=2e5,
        aberrations={"C12": 40.0, "phi12": 0.4, "C21": 900.0, "phi21": 1.0, "C23": 700.0, "phi23": 0.2, "C34": 1e5},
    )
    edge, h = opening_of(lens), 1e-5
    k = np.linspace(-edge, edge, 401)
    kx, ky = (side[np.hypot(k[:, None], k) <= edge] for side in np.meshgrid(k, k, indexing="ij"))
    phase = [aberration_phase(kx + x, ky + y, lens) for x, y in ((h, 0), (-h, 0), (0, h), (0, -h))]
    gradient = [(phase[0] - phase[1]) / (4 * np.pi * h), (phase[2] - phase[3]) / (4 * np.pi * h)]
    ways = (0.0, lens.wavelength * thickness)
    farthest = max(np.hypot(gradient[0] + way * kx, gradient[1] + way * ky).max() for way in ways)
    assert probe_radius(lens, thickness) == pytest.approx(farthest, rel=5e-3)


def errors_over_disc(pixels, weights):
    """Of the mean of a Gaussian over a disc so many pixels in radius, for 64 places of its centre within a pixel."""
    step, width, n = (1 / pixels, 0.8 / pixels), 1.3, int(1.25 * pixels) + 4
    exact = width**2 * (1 - np.exp(-np.pi / width**2))
    found = []
    for shift in np.ndindex(8, 8):
        kx, ky = (h * (np.arange(-n, n + 1) + s / 8) for h, s in zip(step, shift, strict=True))
        gauss = np.exp(-np.pi * (kx[:, None] ** 2 + ky[None] ** 2) / width**2)
        found.append((weights(kx[:, None], ky[None], step) * gauss).sum() * step[0] * step[1] / exact - 1)
    return np.array(found)


def test_sums_over_pixels_of_a_disc_are_integrals_to_fourth_order():
    """Whatever the place of the lattice: the error's mean over it falls as h⁴ instead of h², its scatter as h^2.5."""

    def areas(kx, ky, step):
        return disc_part(kx, ky, 1.0, step)

    def weights(kx, ky, step):
        return quadrature(lambda x, y: disc_part(x, y, 1.0, step), kx, ky, step)

    pixels = np.array([4.3, 8.3, 16.3])
    plain, fine = ([errors_over_disc(n, f) for n in pixels] for f in (areas, weights))

    def order(values):
        return -np.polyfit(np.log(pixels), np.log(values), 1)[0]

    assert order([abs(e.mean()) for e in plain]) == pytest.approx(2, abs=0.1)
    assert order([abs(e.mean()) for e in fine]) > 3.8
    assert order([e.std() for e in fine]) == pytest.approx(2.6, abs=0.3)
    for one, other in zip(plain, fine, strict=True):
        assert np.abs(other).max() < 0.25 * np.abs(one).min()


def test_weights_keep_the_area_of_every_region(rng):
    """Discs, apertures and segments: only pixels beside edges change, and all sum up to the same."""
    step, lens = (0.061, 0.047), Microscope(convergence=22)
    kx, ky = np.meshgrid(*(h * np.arange(-40, 41) for h in step), indexing="ij")
    plain, fine = aperture(kx, ky, lens, step), aperture_weights(kx, ky, lens, step)
    assert fine.sum() == pytest.approx(plain.sum(), rel=1e-12)
    away = np.abs(np.hypot(kx, ky) - lens.convergence * 1e-3 / lens.wavelength) > 2 * max(step)
    np.testing.assert_array_equal(fine[away], plain[away])
    assert -0.08 < fine.min() < -0.01 and 1.01 < fine.max() < 1.08
    for channel in channels([Segmented(inner=6, outer=20, segments=8, rotation=10.0), Annular(name="BF", outer=9)]):
        one, other = (f(channel, kx, ky, lens.wavelength, step) for f in (weight, integral_weight))
        assert one.sum() == pytest.approx(other.sum(), rel=1e-12)
        edge = 1e-3 * (channel.region.outer - 1e-9) / lens.wavelength  # an aperture within the detector
        inside = integral_weight(channel, kx, ky, lens.wavelength, step, edge)
        np.testing.assert_allclose(inside, other, atol=1e-5)


def images_on(slices, tiling, lens, detectors):
    """Images on a supercell of so many cells."""
    engine = BlochEngine(lens, slices.extent, slices.array.shape[1:], slices.thickness, tiling, 1)
    scan = Scan((8, 9), slices.extent)
    recorder = Recorder(detectors, len(scan.positions), lens.wavelength, engine.supercell)
    engine.run(slices.array, scan.positions, {len(slices.array): recorder})
    return derive_images(recorder.folded(scan.shape, (1, 1), 1), scan, lens, detectors, None, None).images


@pytest.mark.parametrize("focal_spread", [0.0, 60.0])
def test_small_supercells_of_a_crystal_without_a_centre(focal_spread):
    """Columns that wander with depth: 12 × 11 Å against 62 × 53 Å. Areas were 0.5 to 0.9 % off, iDPC 0.3 to 0.4 %."""
    extent, shape = (4.1, 5.3), (40, 54)
    layers = []
    for n in range(6):
        columns = [(0.6 + 0.22 * n, 0.9 - 0.13 * n, 110.0), (2.9 - 0.17 * n, 2.2 + 0.31 * n, 45.0)]
        layers.append(gaussian_slices(extent, shape, [*columns, (1.7, 4.4 - 0.24 * n, 15.0)], number=1).array[0])
    slices = PotentialSlices(np.stack(layers), gaussian_slices(extent, shape, (), number=6).grid, 0.0)
    coma = {"C21": 100.0, "phi21": 1.0}
    lens = Microscope(energy=200e3, convergence=22.0, defocus=10.0, aberrations=coma, focal_spread=focal_spread)
    detectors = (Annular(name="BF", outer=11), Annular(name="ABF", inner=11, outer=22), Segmented(inner=6, outer=22))
    small, wide = (images_on(slices, tiling, lens, detectors) for tiling in ((3, 2), (15, 10)))
    for name, limit in {"BF": 0.0035, "ABF": 0.0035, "iDPC": 0.0012}.items():
        assert np.abs(small[name] - wide[name]).max() < limit * np.ptp(wide[name]), name


def test_mean_patterns_keep_covered_parts():
    """Those of the aperture, whose weights to fourth order are negative beside it: dark is dark."""
    extent, lens = (5.3, 4.7), Microscope(convergence=22)
    vacuum = gaussian_slices(extent, (48, 48), (), number=1)
    images = simulate([vacuum], lens, Scan((2, 2), extent), (Annular(name="ADF", inner=30, outer=50),))
    assert images.diffraction.min() > -1e-9 and images.diffraction.sum() == pytest.approx(1, rel=1e-5)
    assert np.abs(images["ADF"]).max() < 1e-9


def test_every_radius_has_finite_parts():
    """The square of a radius rounds, so that radius² − x² may be below 0 at x = radius."""
    random = np.random.default_rng(0)
    for radius in random.uniform(0.2, 2.0, 2000):
        edge = np.array([radius, -radius, 0.0])
        assert np.isfinite(disc_part(edge, edge[::-1], radius, (0.07, 0.05))).all()
        assert np.isfinite(disc_part(edge + 0.035, np.zeros(3), radius, (0.07, 0.05))).all()
