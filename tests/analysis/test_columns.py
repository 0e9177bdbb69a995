"""Columns and their contrast against geometry and analytic images."""

import numpy as np
import pytest
from scipy.special import j1

from rhotem.analysis.columns import Column, column_intensity, columns, contrast
from rhotem.structure.orient import orient
from rhotem.structure.phases import phase


def test_hexagonal_100_separates_lithium_oxygen_and_metal_of_a_layered_oxide():
    """The projection battery microscopists use: every column of LiCoO2 along [100] holds one element."""
    found = columns(orient(phase("LiCoO2"), (1, 0, 0)))
    assert sorted({c.label for c in found}) == ["Co", "Li", "O"]
    atoms = {label: sum(c.count for c in found if c.label == label) for label in ("Li", "Co", "O")}
    assert atoms["O"] == 2 * atoms["Co"] == 2 * atoms["Li"]


def test_the_basal_projection_does_not():
    """Along [001] the ABC stacking puts all three kinds of atom onto the same columns."""
    assert any("/" in c.label for c in columns(orient(phase("LiCoO2"), (0, 0, 1))))


def test_columns_of_equal_shares_have_one_name():
    """Rocksalt along [100]: every column holds as much lithium as fluorine, whichever comes first."""
    assert {c.label for c in columns(orient(phase("LiF"), (1, 0, 0)))} == {"F/Li"}


def test_column_intensity_is_the_exact_disk_average_of_a_band_limited_image():
    extent, shape, radius = (4.0, 6.0), (12, 18), 0.4
    x, y = (np.arange(n) / n * length for n, length in zip(shape, extent, strict=True))
    k = 2 / 4.0
    image = 3.0 + np.cos(2 * np.pi * k * x)[:, None] + 0.0 * y[None]
    for position in ((0.0, 0.0), (0.77, 3.1)):
        argument = 2 * np.pi * k * radius
        expected = 3.0 + np.cos(2 * np.pi * k * position[0]) * 2 * j1(argument) / argument
        assert column_intensity(image, extent, Column("X", np.array(position), (0,)), radius) == pytest.approx(expected)


def test_contrast_is_relative_to_the_mean_and_scales_out():
    extent = (5.0, 5.0)
    x = np.arange(20) / 20 * 5.0
    image = 1.0 + 0.5 * np.cos(2 * np.pi * x / 5.0)[:, None] * np.ones(20)
    found = [Column("A", np.array([0.0, 1.0]), (0,)), Column("B", np.array([2.5, 1.0]), (1,))]
    a, b = contrast(image, extent, found)
    assert a.value == pytest.approx(-b.value) and 0.4 < a.value < 0.5
    assert contrast(7.0 * image, extent, found)[0].value == pytest.approx(a.value)
    assert contrast(7.0 * image, extent, found, absolute=True)[0].value == pytest.approx(7.0 * a.value)
