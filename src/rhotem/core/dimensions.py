"""Units of axes as files write them: lengths in Å, reciprocal lengths in 1/Å, angles in mrad."""

from typing import Literal

Dimension = Literal["length", "reciprocal", "angle"]

_ANGSTROMS = ("å", "a", "ang", "angstrom", "angstroms", "angstroem", "ångström", "ångstrom")
_METRES = ("m", "meter", "meters", "metre", "metres")
_RADIANS = ("rad", "radian", "radians")
_DEGREES = ("deg", "degree", "degrees", "°")
#: Prefixes, short and in words, with their powers of ten.
_PREFIXES = {"": 0, "p": -12, "n": -9, "u": -6, "m": -3, "c": -2} | {
    "pico": -12,
    "nano": -9,
    "micro": -6,
    "milli": -3,
    "centi": -2,
}
_LENGTHS = (
    dict.fromkeys(_ANGSTROMS, 1.0)
    | {prefix + unit: 10.0 ** (10 + power) for prefix, power in _PREFIXES.items() for unit in _METRES}
    | {"micron": 1e4, "microns": 1e4, "inch": 2.54e8, "inches": 2.54e8}
)
_ANGLES = {prefix + unit: 10.0 ** (3 + power) for prefix, power in _PREFIXES.items() for unit in _RADIANS} | (
    dict.fromkeys(_DEGREES, 17.453292519943295)
)
#: What one letter stands for that is written in several ways.
_SPELLINGS = (
    ("\\mu", "u"),
    ("µ", "u"),
    ("μ", "u"),
    ("\u212b", "å"),
    ("a\u030a", "å"),
    ("\u2212", "-"),
    ("⁻", "^-"),
    ("¹", "1"),
    ("**", "^"),
    ("ångström", "angstrom"),
)
#: What programs write where there is no unit, without the s of a plural.
_NAMELESS = ("", "px", "pixel", "pix", "channel", "index", "none", "undefined", "<undefined>")
#: Characters that say nothing: of LaTeX, brackets, ends of strings.
_EMPTY = dict.fromkeys(map(ord, " \0${}[]()\\"))


def dimension(unit: str) -> tuple[Dimension, float] | None:
    """Dimension of a unit and its size in Å, 1/Å or mrad; None of what is neither (pixels, seconds, nothing).

    Reciprocal units are taken without 2π (docs/conventions.md).
    """
    text = _plain(unit)
    if text in _ANGLES:
        return "angle", _ANGLES[text]
    if text in _LENGTHS:
        return "length", _LENGTHS[text]
    for inner in (
        *(text.removeprefix(start) for start in ("1/", "inverse", "inv")),
        *(text.removesuffix(end) for end in ("^-1", "-1")),
    ):
        if inner != text and inner in _LENGTHS:
            return "reciprocal", 1.0 / _LENGTHS[inner]
    return None


def nameless(unit: str) -> bool:
    """Whether a unit only says that there is none: pixels, channels, nothing."""
    return _plain(unit).rstrip("s") in _NAMELESS


def _plain(unit: str) -> str:
    text = unit.strip().lower()
    for written, meant in _SPELLINGS:
        text = text.replace(written, meant)
    if text.startswith("[") and text.endswith("]"):  # Berkeley EMD writes [n_m]
        text = text.replace("_", "")
    text = text.translate(_EMPTY).removeprefix("k_").replace("aa", "å").replace("_", "^")
    for end in ("/px", "/pixel", "/pix"):
        text = text.removesuffix(end)
    return text
