"""How far images from two densities are apart."""

import numpy as np
import pytest

from rhotem.analysis.compare import Comparison
from rhotem.microscope.images import ImageSet
from rhotem.microscope.scan import Scan


def images(**pixels: np.ndarray) -> ImageSet:
    return ImageSet(dict(pixels), Scan((8, 8), (8.0, 8.0)), np.zeros((1, 1)), (1.0, 1.0))


def test_differences_are_parts_of_the_references_range():
    """A wave of amplitude a against one of amplitude a(1 + e): e/2 of the range at its ends, e/√8 in the mean."""
    wave = np.tile(np.cos(2 * np.pi * np.arange(8) / 8)[:, None], (1, 8))
    flat = np.ones((8, 8))
    shown = {"free-atoms": images(ABF=3.0 * wave, BF=flat), "model": images(ABF=3.0 * 1.2 * wave, BF=flat)}
    result = Comparison(None, {}, shown, {}, [], {}, {})  # type: ignore[arg-type]  # only images are asked
    apart = result.differences["model"]
    assert list(apart) == ["ABF"]
    assert abs(apart["ABF"].largest) == pytest.approx(0.1)
    assert apart["ABF"].rms == pytest.approx(0.2 / np.sqrt(8))
    assert result.record()["differences"]["model"]["ABF"]["rms"] == pytest.approx(0.2 / np.sqrt(8))
