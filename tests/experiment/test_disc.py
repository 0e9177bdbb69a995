"""Direct discs of simulated patterns: centre, radius, ellipse within their errors; patterns without a disc."""

from pathlib import Path

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.experiment.calibrate.disc import calibrated, find_disc
from rhotem.experiment.measurement import Axis, Measurement
from rhotem.experiment.read import Stated, read_measurement

#: Of SrTiO3; fits of the whole pattern say 5.018 px/mrad and 13.42 mrad, the middle of the beam at 115.5 and 114.9.
MEASURED = Path(__file__).resolve().parent.parent / "data" / "experiment" / "pacbed-srtio3-61-63nm.png"
RADIUS, CENTRE = 5.018 * 13.42, (115.5, 114.9)


def pattern(data: np.ndarray) -> Measurement:
    return Measurement(data, "pattern", (Axis("ky", "mrad"), Axis("kx", "mrad")))


def disc(
    centre: tuple[float, float], radius: float, ratio: float = 1.0, angle: float = 0.0, size: int = 200
) -> np.ndarray:
    """A uniform ellipse of this mean radius whose edge is a pixel wide."""
    y, x = np.indices((size, size)).astype(float)
    turn = np.deg2rad(angle)
    u = (x - centre[1]) * np.cos(turn) + (y - centre[0]) * np.sin(turn)
    v = (y - centre[0]) * np.cos(turn) - (x - centre[1]) * np.sin(turn)
    return 0.5 - 0.5 * np.tanh((np.hypot(u / np.sqrt(ratio), v * np.sqrt(ratio)) - radius) / 0.8)


@pytest.mark.parametrize("seed", range(4))
def test_centre_radius_and_ellipse(seed: int):
    rng = np.random.default_rng(seed)
    centre, radius = tuple(100 + rng.uniform(-15, 15, 2)), rng.uniform(25, 45)
    ratio, angle = 1 + rng.uniform(0.03, 0.08), rng.uniform(-80, 80)
    y, x = np.indices((200, 200))
    stripes = 1 + 0.3 * np.cos(x / 5 + y / 9)
    halo = 0.15 * np.exp(-np.hypot(y - centre[0], x - centre[1]) / 60)
    found = find_disc(pattern(rng.poisson(200 * (disc(centre, radius, ratio, angle) * stripes + halo))))
    for value, truth in (
        (found.centre[0], centre[0]),
        (found.centre[1], centre[1]),
        (found.radius, radius),
        (found.ellipticity, ratio - 1),
    ):
        assert abs(value.value - truth) < 4 * value.error
    assert found.radius.value == pytest.approx(radius, rel=0.01)
    assert abs((found.angle.value - angle + 90) % 180 - 90) < max(4 * found.angle.error, 8)
    scale = found.px_per_mrad(20.0)
    assert scale.value == pytest.approx(radius / 20, rel=0.01)


def test_overlapping_discs_and_the_scale(rng: np.random.Generator):
    """Four neighbours cover the direct disc partly, and the outlines of all join to larger circles."""
    middle, radius, apart = (100.0, 96.0), 40.0, 30.0
    data = disc(middle, radius)
    for down, right in ((apart, 0), (-apart, 0), (0, apart), (0, -apart)):
        data = data + 0.25 * disc((middle[0] + down, middle[1] + right), radius)
    measurement = pattern(rng.poisson(data * 300))
    found = find_disc(measurement)
    assert found.radius.value == pytest.approx(radius, rel=0.01)
    assert found.centre[0].value == pytest.approx(100, abs=0.5) and found.centre[1].value == pytest.approx(96, abs=0.5)
    made = calibrated(measurement, found, 20.0)
    assert made.pixel == pytest.approx((20 / radius,) * 2, rel=0.01)
    axis = made.axes[1]
    assert axis.offset + axis.scale * 96 == pytest.approx(0, abs=0.3)
    stack = Measurement(np.broadcast_to(measurement.data, (2, 2, 200, 200)), "4D", (*made.axes, *measurement.axes))
    assert find_disc(stack).radius.value == pytest.approx(found.radius.value)


def test_patterns_without_a_disc(rng: np.random.Generator):
    y, x = np.indices((128, 128))
    radius = np.hypot(y - 64, x - 64)
    for data in (
        rng.poisson(20, (128, 128)),
        rng.poisson(300 * np.exp(-((radius / 25) ** 2))),
        rng.poisson(300 * ((abs(x - 64) < 3) & (abs(y - 64) < 3)) + 1),
        np.ones((128, 128)) * (x > 64),
    ):
        with pytest.raises(InputError, match="no disc"):
            find_disc(pattern(data.astype(float)))
    with pytest.raises(InputError, match="this is an image"):
        find_disc(Measurement(data.astype(float), "image", (Axis("y", "Å"), Axis("x", "Å"))))


@pytest.mark.parametrize("left", [0, 41])
def test_a_measured_pattern_that_the_camera_ends_near(left: int):
    """The fall to nothing beyond the camera was the sharpest circle of a picture cropped to 1.7 radii."""
    whole = read_measurement(MEASURED, Stated(kind="pattern")).data
    found = find_disc(pattern(whole[:, left:]))
    assert found.radius.value == pytest.approx(RADIUS, rel=0.01)
    assert (found.centre[0].value, found.centre[1].value + left) == pytest.approx(CENTRE, abs=4 * 0.3)


@pytest.mark.parametrize("electrons", [2, 5, 100])
def test_few_electrons_give_the_disc_or_none(electrons: int):
    """With two and five in the brightest pixel centres were 5 to 20 pixels off, stated to 0.2."""
    expected = read_measurement(MEASURED, Stated(kind="pattern")).data / 255 * electrons
    for seed in range(2):
        try:
            found = find_disc(pattern(np.random.default_rng(seed).poisson(expected)))
        except InputError as error:
            assert electrons < 20 and "electrons enough" in str(error)
            continue
        assert found.radius.value == pytest.approx(RADIUS, rel=0.01)
        assert tuple(c.value for c in found.centre) == pytest.approx(CENTRE, abs=4 * 0.3)
