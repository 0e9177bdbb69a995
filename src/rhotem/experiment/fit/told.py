"""What fits of scans and of focal series say alike: numbers of a record, and what speaks against them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Array = npt.NDArray[np.float64]

#: Correlation of the mean cell below which nothing was found.
POOR = 0.3
#: Mean square of residuals over that of noise from which a model does not explain the images. Fits of simulated
#: electrons give 0.95 to 1.15.
LARGE = 1.5


def parameters(names: Sequence[str], units: Sequence[str], values: Array, errors: Array) -> dict[str, dict[str, Any]]:
    """Value, error and unit by name."""
    rows = zip(names, units, values, errors, strict=False)
    return {name: {"value": float(v), "error": float(e), "unit": unit} for name, unit, v, e in rows}


def minima(found: Sequence[tuple[Any, float]]) -> list[dict[str, float]]:
    """Thickness, focus and odds of every minimum."""
    return [
        {"thickness_nm": 0.1 * state.thickness, "defocus_nm": 0.1 * state.defocus, "odds": chance}
        for state, chance in found
    ]


def unexplained(excess: float, check: str) -> list[str]:
    """A line if residuals are `LARGE`; ``check``: what may be wrong."""
    if excess <= LARGE:
        return []
    return [
        f"residuals are {excess:.3g} times the noise's square: the fit does not explain the images, do not trust its "
        f"numbers; check {check}"
    ]


def beyond(excess: float, allowed: float) -> list[str]:
    """A line if residuals of counted electrons are larger than chance leaves."""
    if excess <= allowed:
        return []
    return [
        f"residuals are {excess:.3f} times the noise's square, more than chance leaves: what the model lacks may shift "
        "numbers by more than their errors; compare another --temperature, --phonons, --source"
    ]


def at_end(name: str, tried: str, option: str) -> str:
    """What a parameter at ``tried``, an end of what was tried, means; ``option`` widens it."""
    return f"{name} is at {tried}: it may lie beyond, and its error means nothing; see {option}"


def absent(what: str, correlation: float) -> InputError:
    """The refusal of images where the mean cell is not that of the crystal."""
    return InputError(
        f"{what}: the lattice of the crystal is not in them (correlation of the mean cell {correlation:.2f}); check "
        "structure, zone axis, rotation and pixel"
    )
