"""Measurements to signals of HyperSpy and back."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.experiment.hyperspy import from_hyperspy, to_hyperspy
from rhotem.experiment.measurement import Axis, Measurement

pytest.importorskip("hyperspy")


def test_there_and_back(rng: np.random.Generator):
    axes = (Axis("y", "Å", 0.5), Axis("x", "Å", 0.6, 2.0), Axis("ky", "mrad", 0.7, -3.5), Axis("kx", "mrad", 0.8, -4.0))
    before = Measurement(
        rng.poisson(3.0, (3, 4, 10, 11)), "4D", axes, 200.0, 21.0, 10.0, 1e4, 115.0, counts=True, saturated=0.0
    )
    signal = to_hyperspy(before)
    assert signal.axes_manager.navigation_shape == (4, 3) and signal.axes_manager.signal_shape == (11, 10)
    after = from_hyperspy(signal)
    assert np.array_equal(after.data, before.data) and after.axes == before.axes and after.kind == "4D"
    for name in ("energy_keV", "convergence_mrad", "dose_e_per_A2", "camera_length_mm", "counts"):
        assert getattr(after, name) == getattr(before, name)
    assert after.dwell_us == pytest.approx(10.0)


def test_an_image_without_scale_stays_without(rng: np.random.Generator):
    image = Measurement(rng.normal(size=(8, 9)), "image", (Axis("y", "Å"), Axis("x", "Å")))
    signal = to_hyperspy(image)
    assert str(signal.axes_manager[0].units) == "px"
    with pytest.raises(InputError, match="--kind image"):
        from_hyperspy(signal)
    with pytest.raises(InputError, match="expected a signal"):
        from_hyperspy(image)
