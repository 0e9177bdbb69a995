"""Fractions of the beam from detector images of known levels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.experiment.calibrate.absolute import detector_levels, fraction_by_gain, fraction_of_beam
from rhotem.experiment.calibrate.lattice import Value
from rhotem.experiment.measurement import Axis, Measurement
from rhotem.experiment.read import Stated, read_measurement
from rhotem.microscope.detectors.sensitivity import Sensitivity

DARK, GAIN, NOISE = 1200.0, 9000.0, 60.0


@pytest.fixture
def scan(tmp_path: Path, rng: np.random.Generator) -> Measurement:
    """A detector of 40 to 120 mrad at 2 mrad per pixel, brighter to the right by 10 %."""
    y, x = np.indices((160, 160))
    angle = 2.0 * np.hypot(y - 80, x - 80)
    uneven = 1 + 0.1 * (x - 80) / 60
    data = DARK + GAIN * uneven * ((angle >= 40) & (angle < 120)) + rng.normal(size=angle.shape) * NOISE
    np.save(tmp_path / "map.npy", data)
    return read_measurement(tmp_path / "map.npy", Stated(kind="image"))


def test_levels_and_fractions(scan: Measurement, rng: np.random.Generator):
    levels = detector_levels(scan, Sensitivity(scan.source.path, 40.0, 120.0, (80.0, 80.0), 2.0))
    assert abs(levels.dark.value - DARK) < 4 * levels.dark.error and levels.dark.error < 2
    assert levels.full.value - levels.dark.value == pytest.approx(GAIN, rel=0.002)
    assert 0.04 < levels.spread < 0.08
    truth = rng.uniform(0.02, 0.2, (40, 40))
    image = Measurement(DARK + GAIN * 0.5 * truth, "image", (Axis("y", "Å"), Axis("x", "Å")))
    made, error = fraction_of_beam(image, levels, Value(0.5, 0.005))
    assert np.allclose(made.data, truth, atol=3e-4, rtol=0.002)
    assert error == pytest.approx(0.01, rel=0.05)
    same, _ = fraction_by_gain(image, Value(9.0, 0.09), Value(DARK, 1.0), Value(500.0, 0.0))
    assert np.allclose(same.data, truth)


def test_saturated_and_shifted_recordings_are_refused(scan: Measurement):
    ring = Sensitivity(scan.source.path, 40.0, 120.0, (80.0, 80.0), 2.0)
    levels = detector_levels(scan, ring)
    axes = (Axis("y", "Å"), Axis("x", "Å"))
    with pytest.raises(InputError, match="saturated"):
        fraction_of_beam(Measurement(np.ones((9, 9)), "image", axes, saturated=0.1), levels)
    with pytest.raises(InputError, match="below the dark level"):
        fraction_of_beam(Measurement(np.linspace(900, 1500, 81).reshape(9, 9), "image", axes), levels)
    with pytest.raises(InputError, match="wider field"):
        detector_levels(scan, Sensitivity(scan.source.path, 40.0, 210.0, (80.0, 80.0), 2.0))


def test_another_gain_or_dwell_time_is_refused(scan: Measurement):
    """Fractions above the whole beam, and sums over twice the time, went through."""
    levels = replace(
        detector_levels(scan, Sensitivity(scan.source.path, 40.0, 120.0, (80.0, 80.0), 2.0)), dwell_us=10.0
    )
    axes = (Axis("y", "Å"), Axis("x", "Å"))
    image = Measurement(DARK + GAIN * np.linspace(0.1, 0.6, 81).reshape(9, 9), "image", axes, dwell_us=10.0)
    made, _ = fraction_of_beam(image, levels)
    assert made.data.max() == pytest.approx(0.6, rel=0.01)
    with pytest.raises(InputError, match="more than the whole beam"):
        fraction_of_beam(replace(image, data=DARK + 4 * (image.data - DARK)), levels)
    longer = replace(image, data=DARK + 0.5 * (image.data - DARK), dwell_us=20.0)
    with pytest.raises(InputError, match="20 µs, the image of the detector has 10 µs"):
        fraction_of_beam(longer, levels)
    assert fraction_of_beam(longer, levels, Value(2.0, 0.0))[0].data.max() == pytest.approx(0.15, rel=0.01)
    with pytest.raises(InputError, match="expected positive"):
        fraction_by_gain(image, Value(-9.0, 0.1), Value(DARK, 1.0), Value(500.0, 0.0))
