"""Amounts and indices as people write them."""

import pytest

from rhotem.core import InputError
from rhotem.core.words import parse_amount, parse_indices


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("10", "nm", 10.0),
        ("1e4", "e/Å²", 1e4),
        ("10nm", "nm", 10.0),
        ("100 Å", "nm", 10.0),
        ("100A", "nm", 10.0),
        ("0.5 angstrom", "Å", 0.5),
        ("0.1 nm", "Å", 1.0),
        ("-1.2um", "mm", -1.2e-3),
        ("200kV", "kV", 200.0),
        ("200 keV", "kV", 200.0),
        ("80000 V", "kV", 80.0),
        ("0.022 rad", "mrad", 22.0),
        ("22 mrad", "mrad", 22.0),
        ("1e4 e/A2", "e/Å²", 1e4),
        ("1e6 e-/nm²", "e/Å²", 1e4),
        ("300 K", "K", 300.0),
        ("10 ms", "µs", 1e4),
        ("0.05nA", "pA", 50.0),
        ("100 ångströms", "nm", 10.0),
        ("180 deg", "mrad", 3141.59265358979),
    ],
)
def test_amounts(text: str, unit: str, value: float) -> None:
    assert parse_amount(text, unit) == value


@pytest.mark.parametrize(
    ("text", "unit"),
    [("10 kV", "nm"), ("ten", "nm"), ("", "nm"), ("10 parsec", "nm"), ("nm", "nm"), ("1 2", "nm"), ("10 mm mm", "nm")],
)
def test_amounts_of_something_else(text: str, unit: str) -> None:
    with pytest.raises(InputError, match=f"expected a number in {unit}"):
        parse_amount(text, unit)


@pytest.mark.parametrize("text", ["[11\u03040]", "[11\u03050]", "⟨1 1\u0304 0⟩", "1,-1,0"])
def test_indices_with_a_bar_as_in_papers(text: str) -> None:
    assert parse_indices(text) == (1, -1, 0)
