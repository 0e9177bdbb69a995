"""Blurs by boxes against scipy's."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from rhotem.learned.pictures.boxes import blurred


@pytest.mark.parametrize(("shape", "width", "times"), [((2, 40, 51), 9, 3), ((37, 50), 61, 2), ((9, 12), 41, 3)])
def test_boxes_are_scipys(rng, shape, width, times):
    """Boxes wider than the picture and than twice the picture among them: it is mirrored again and again."""
    values = rng.normal(size=shape)
    expected = values
    for _ in range(times):
        expected = uniform_filter(expected, (0,) * (len(shape) - 2) + (width, width), mode="reflect")
    assert blurred(values, width, times) == pytest.approx(expected, abs=1e-6)


def test_nothing_is_left_of_a_hot_pixel_that_went():
    """Running sums in single precision would keep some 1e-3 of it."""
    values = np.ones((64, 8), dtype=np.float32)
    values[5] = 1e6
    assert blurred(values, 3, 1)[20:] == pytest.approx(1.0, abs=1e-6)


def test_one_pixel_changes_nothing(rng):
    values = rng.normal(size=(5, 6)).astype(np.float32)
    np.testing.assert_array_equal(blurred(values, 1, 2), values)
