"""Detectors with a measured map: limits, averages, and the noise of unequal electrons."""

from pathlib import Path

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.microscope.cells import Cells
from rhotem.microscope.counting import Pixels, draw
from rhotem.microscope.detectors import channels, weight
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, CenterOfMass, Mapped, Microscope
from rhotem.microscope.simulate import simulate
from rhotem.scattering.response import response

from .conftest import COLUMNS, gaussian_slices

MICROSCOPE = Microscope(energy=200e3, convergence=25.0)
SLICES = gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, number=2)


@pytest.fixture
def uneven(tmp_path: Path) -> str:
    """An annular detector on 200 × 220 pixels around (95, 118): hole, a shadow, one side weaker by half."""
    row, column = np.indices((200, 220))
    r, phi = np.hypot(row - 95, column - 118), np.arctan2(row - 95, column - 118)
    values = 1.5 + 0.5 * np.cos(phi) + 0.004 * r
    values[(r < 20) | (r >= 80) | (np.abs(phi - 2.5) < 0.15)] = 0.0
    path = tmp_path / "map.npy"
    np.save(path, 1000 + 3000 * values)
    return str(path)


def grid(step=0.02, half=60):
    k = step * np.arange(-half, half + 1)
    return (a.ravel() for a in np.meshgrid(k, k, indexing="ij"))


def test_a_uniform_map_is_the_ideal_detector(tmp_path):
    np.save(tmp_path / "flat.npy", np.full((64, 64), 7.0))
    flat = Mapped(name="ADF", inner=30, outer=90, map=str(tmp_path / "flat.npy"), centre=(32, 32), mrad_per_pixel=4)
    ideal = Annular(name="ADF", inner=30, outer=90)
    scan = Scan((6, 8), SLICES.extent)
    images = simulate([SLICES], MICROSCOPE, scan, [flat, ideal.model_copy(update={"name": "ideal"})], algorithm="bloch")
    assert np.abs(images["ADF"] - images["ideal"]).max() < 1e-12
    kx, ky = grid()
    step = (0.02, 0.02)
    weights = [weight(channels([d])[-1], kx, ky, MICROSCOPE.wavelength, step) for d in (flat, ideal)]
    assert np.abs(weights[0] - weights[1]).max() < 1e-12


def test_the_outline_of_a_detector_is_found_and_its_mean_is_one(uneven):
    """Centre and scale from the map alone; evenly lit, the ring gives the average of the map: 1."""
    detector = Mapped(name="ADF", inner=25, outer=100, map=uneven)
    said = detector.sensitivity.record()
    assert np.allclose(said["centre_pixel"], [95, 118], atol=0.6)
    assert said["mrad_per_pixel"] == pytest.approx(100 / 80, rel=0.01)
    kx, ky = grid(0.01, 440)
    step, wavelength = (0.01, 0.01), MICROSCOPE.wavelength
    plain, weighed = (weight(c, kx, ky, wavelength, step) for c in detector.channels())
    assert weighed.sum() / plain.sum() == pytest.approx(1.0, abs=0.01)
    x, y = (1e3 * wavelength * k for k in (kx, ky))
    values = detector.sensitivity(x, y, (0.25, 0.25))
    ring = (np.hypot(x, y) > 30) & (np.hypot(x, y) < 95)
    away = ring & (np.abs(np.arctan2(y, x) - 2.5) > 0.25)
    # the stronger side is that of larger columns: +x
    expected = 1.5 + 0.5 * np.cos(np.arctan2(y, x)) + 0.004 * np.hypot(x, y) / said["mrad_per_pixel"]
    ratio = values[away] / expected[away]
    assert ratio.std() / ratio.mean() < 0.02


def test_a_map_turns_from_x_to_y(uneven):
    turned = Mapped(name="ADF", inner=25, outer=100, map=uneven, rotation=90)
    there = Mapped(name="ADF", inner=25, outer=100, map=uneven)
    at = np.array([60.0, 0.0, -50.0]), np.array([0.0, 60.0, 20.0])
    back = at[1], -at[0]
    assert np.allclose(turned.sensitivity(*at, (1, 1)), there.sensitivity(*back, (1, 1)))


def test_images_are_sums_of_weighed_intensity(uneven):
    """Against the pattern of every position, weighed by hand."""
    from rhotem.microscope.settings import Pixelated

    detector, scan = Mapped(name="ADF", inner=30, outer=55, map=uneven), Scan((4, 6), SLICES.extent)
    images = simulate([SLICES], MICROSCOPE, scan, [detector, Pixelated(outer=60)], algorithm="bloch")
    pattern, step = images.patterns["4D"], images.angular_step
    x, y = (s * (np.arange(n) - n // 2) for s, n in zip(step, pattern.shape[2:], strict=True))
    kx, ky = np.meshgrid(x * 1e-3 / MICROSCOPE.wavelength, y * 1e-3 / MICROSCOPE.wavelength, indexing="ij")
    k_step = tuple(s * 1e-3 / MICROSCOPE.wavelength for s in step)
    mask = weight(channels([Annular(name="a", inner=30, outer=55)])[0], kx, ky, MICROSCOPE.wavelength, k_step)
    mask = mask * detector.sensitivity(*np.meshgrid(x, y, indexing="ij"), step)
    assert np.allclose(images["ADF"], (pattern * mask).sum(axis=(2, 3)), rtol=1e-4)


def test_electrons_of_a_map_have_the_noise_of_a_compound_poisson_sum(uneven):
    """Ση: mean N⟨η⟩, variance N⟨η²⟩, covariance with Σkx N⟨η kx⟩, with the number in the ring N⟨η⟩."""
    detector, com, ring = (
        Mapped(name="ADF", inner=25, outer=45, map=uneven),
        CenterOfMass(outer=60),
        Annular(name="ring", inner=10, outer=45),
    )
    kx, ky = grid(0.05, 30)
    step, wavelength = (0.05, 0.05), MICROSCOPE.wavelength
    shape = np.exp(-((kx - 0.3) ** 2 + (ky + 0.1) ** 2) / 1.2)
    expected, scale, number, electrons = 0.8 * shape / shape.sum(), 1e3 * wavelength, 40000, 300.0
    cells = Cells([detector, com, ring])
    parts = cells.weights(kx, ky, wavelength, step)
    columns = cells.recorded(parts, scale * kx, scale * ky, (scale * step[0], scale * step[1])).T @ expected
    moments = np.repeat(columns, number).reshape(-1, number, 1)
    rng = np.random.default_rng(3)
    drawn = draw(cells, moments, {}, Pixels(step, wavelength), electrons=electrons, rng=rng)
    plain, weighed = detector.channels()
    eta = drawn.weighed(weighed).ravel()
    inside = weight(plain, kx, ky, wavelength, step) * expected
    values = detector.sensitivity(scale * kx, scale * ky, (scale * step[0], scale * step[1]))
    variance = electrons * (inside * values**2).sum()
    assert abs(eta.mean() - electrons * (inside * values).sum()) < 4 * np.sqrt(variance / number)
    assert eta.var() == pytest.approx(variance, rel=0.03)
    everything = drawn.sums[cells.within("CoM"), 0].sum(axis=0).ravel()
    mixed = electrons * (inside * values * scale * kx).sum()
    assert abs(np.cov(eta, everything)[0, 1] - mixed) < 5 * np.sqrt(variance * everything.var() / number)
    assert np.cov(eta, drawn.counted("ring").ravel())[0, 1] == pytest.approx(
        electrons * (inside * values).sum(), rel=0.06
    )


def test_a_response_holds_a_map_that_it_was_made_with(uneven):
    detector, scan = Mapped(name="ADF", inner=30, outer=70, map=uneven), Scan((6, 8), SLICES.extent)
    held = response([SLICES], MICROSCOPE, [detector], edges=[])
    direct = simulate([SLICES], MICROSCOPE, scan, [detector], algorithm="bloch")
    assert np.abs(held.images(scan=scan)["ADF"] - direct["ADF"]).max() < 1e-5 * np.ptp(direct["ADF"])
    # series call detectors otherwise where they make it; another map of the same name had the images of this one
    lens = {"dose": 1e5, "pixel": None}
    for asked in ({}, {"rng": np.random.default_rng(1), **lens}):
        again = held.images([detector.model_copy(update={"name": "1 ADF"})], scan=scan, **asked)
        rng = {"rng": np.random.default_rng(1)} if "rng" in asked else {}
        assert np.array_equal(again["1 ADF"], held.images(scan=scan, **asked | rng)["ADF"])
    for change in ({"rotation": 20.0}, {"outer": 60.0, "name": "other"}):
        with pytest.raises(InputError, match=r"make it with the same sensitivity map|the response holds edges"):
            held.images([detector.model_copy(update=change)])
    with pytest.raises(InputError, match="make it with the same sensitivity map"):
        response([SLICES], MICROSCOPE, [Annular(name="ADF", inner=30, outer=70)], edges=[]).images([detector])


@pytest.mark.parametrize(
    "values, more, words",
    [
        (np.zeros((4, 40)), {}, "expected one finite image"),
        (np.full((40, 40), 3.0), {}, "uniform; say its centre"),
        (np.eye(40), {"centre": (500.0, 0.0), "mrad_per_pixel": 1.0}, "nothing between 30 and 70 mrad"),
    ],
)
def test_maps_that_are_none_are_refused(tmp_path, values, more, words):
    np.save(tmp_path / "map.npy", values)
    with pytest.raises(InputError, match=words):
        Mapped(name="ADF", inner=30, outer=70, map=str(tmp_path / "map.npy"), **more).sensitivity.record()
    with pytest.raises(InputError, match="cannot be read"):
        Mapped(name="ADF", inner=30, outer=70, map=str(tmp_path / "gone.npy")).sensitivity.record()


def test_a_measured_map_lies_on_its_ring():
    """Outline by area: the active pixels with hole and shadow filled are a disc that ends at the outer angle."""
    from scipy.ndimage import binary_fill_holes

    path = Path(__file__).parents[1] / "data" / "detector" / "adf.npz"
    values = np.load(path)["map"].astype(float)
    filled = binary_fill_holes(values > 15000)
    radius = np.sqrt(filled.sum() / np.pi)
    middle = np.argwhere(filled).mean(axis=0)
    detector = Mapped(name="ADF", inner=60, outer=200, map=str(path))
    said = detector.sensitivity.record()
    assert np.allclose(said["centre_pixel"], middle, atol=0.5)
    assert said["mrad_per_pixel"] == pytest.approx(200 / radius, rel=0.02)
    rows, columns = np.indices(values.shape)
    angle = said["mrad_per_pixel"] * np.hypot(rows - middle[0], columns - middle[1])
    ring = values[(angle >= 60) & (angle < 200)] - np.percentile(values, 5)
    assert said["relative_standard_deviation"] == pytest.approx(ring.std() / ring.mean(), rel=0.03)
    # evenly lit: the mean over the ring, of the map and of the weights on the beams of a supercell
    kx, ky = grid(0.0625, 130)
    plain, weighed = (weight(c, kx, ky, MICROSCOPE.wavelength, (0.0625, 0.0625)) for c in detector.channels())
    assert weighed.sum() / plain.sum() == pytest.approx(1.0, abs=0.01)
