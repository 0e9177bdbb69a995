"""Units of axes as files write them: lengths in Å, reciprocal lengths in 1/Å, angles in mrad."""

from typing import Literal

Dimension = Literal["length", "reciprocal", "angle"]

_LENGTHS = {
    "pm": 1e-2,
    "å": 1.0,
    "a": 1.0,
    "ang": 1.0,
    "angstrom": 1.0,
    "angstroms": 1.0,
    "angstroem": 1.0,
    "nm": 10.0,
    "nanometer": 10.0,
    "nanometers": 10.0,
    "um": 1e4,
    "micron": 1e4,
    "microns": 1e4,
    "micrometer": 1e4,
    "mm": 1e7,
    "cm": 1e8,
    "m": 1e10,
    "meter": 1e10,
    "meters": 1e10,
}
_ANGLES = {"mrad": 1.0, "rad": 1e3, "urad": 1e-3, "deg": 17.453292519943295, "°": 17.453292519943295}


def dimension(unit: str) -> tuple[Dimension, float] | None:
    """Dimension of a unit and its size in Å, 1/Å or mrad; None of what is neither (pixels, seconds, nothing).

    Reciprocal units are taken without 2π (docs/conventions.md).
    """
    text = unit.strip().lower().replace("µ", "u").replace("μ", "u").replace("\u212b", "å").replace(" ", "")
    text = text.translate(dict.fromkeys(map(ord, "${}\\"))).removeprefix("k_").replace("aa", "å")
    text = text.replace("å", "å").replace("**", "^").replace("⁻¹", "^-1").replace("_", "^")
    if text in _ANGLES:
        return "angle", _ANGLES[text]
    if text in _LENGTHS:
        return "length", _LENGTHS[text]
    for inner in (text.removeprefix("1/"), text.removesuffix("^-1"), text.removesuffix("-1")):
        if inner != text and inner in _LENGTHS:
            return "reciprocal", 1.0 / _LENGTHS[inner]
    return None
