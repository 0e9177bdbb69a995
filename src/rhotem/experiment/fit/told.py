"""What fits of scans and of focal series say alike: numbers of a record, and what speaks against them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.measurement import Measurement

Array = npt.NDArray[np.float64]

#: Correlation of the mean cell below which nothing was found.
POOR = 0.3
#: Mean square of residuals over that of noise from which a model does not explain the images. Fits of simulated
#: electrons give 0.95 to 1.15.
LARGE = 1.5
#: Mean square of residuals below which values are no electrons that were counted, and least mean for that.
QUIET, MANY = 0.8, 3.0
#: Relative difference of pixels of images that are said to be of one scan, or of one series, that rounding explains.
ROUNDING = 0.005
#: Part of what an image without a scale shows that may be left unexplained. Columns of 60 and 35 V·Å² fitted as columns
#: alike leave 0.34, with the right crystal below 0.02.
STRANGE = 0.1


def check_alike(measured: Sequence[Measurement], what: str) -> None:
    """Refuse images that cannot show the same place of the specimen: of other shapes, or of other pixels.

    Raises
    ------
    InputError
        Naming the first that differs; ``what``: what the images are said to be, "images of one scan".
    """
    first = measured[0]
    for one in measured:
        if one.data.shape != first.data.shape:
            sizes = " and ".join("{} × {}".format(*image.data.shape) for image in (first, one))
            raise InputError(
                f"{one.source.path}: {what} of different shapes, {sizes} pixels; give those of one recording"
            )
    known = [(one, one.pixel) for one in measured if one.pixel is not None]
    for one, pixel in known:
        if not np.allclose(pixel, known[0][1], rtol=ROUNDING):
            sizes = " and ".join("{:.4g} × {:.4g} Å".format(*size) for size in (known[0][1], pixel))
            raise InputError(f"{one.source.path}: {what} of different pixels, {sizes}; give those of one recording")


def of_one_pixel(measured: Sequence[Measurement]) -> list[Measurement]:
    """Images of one scan or series, those without a scale with that of the others."""
    known = next((one for one in measured if one.pixel is not None), None)
    if known is None:
        return list(measured)
    return [one if one.pixel is not None else replace(one, axes=known.axes) for one in measured]


class Explaining(Protocol):
    """A fit of images."""

    @property
    def excess(self) -> float:
        """Mean square of residuals over that of noise."""

    @property
    def left(self) -> float:
        """Part of what images show beyond noise that it leaves."""


def check_scaleless(fitted: Explaining, image: Measurement, formula: str, pixels: Array) -> None:
    """Refuse a fit if the image has no scale and does not look like the crystal: then nothing speaks for it.

    Lattices of one symmetry fit any image of it at some scale. Where the scale is known the lattice itself is
    evidence, and bad residuals are a warning.

    Raises
    ------
    InputError
        Saying the scale that was assumed.
    """
    if image.pixel is not None or fitted.excess <= LARGE or fitted.left <= STRANGE:
        return
    pixel = float(np.sqrt(abs(np.linalg.det(pixels))))
    raise InputError(
        f"{image.source.path}: it has no scale, and at the {pixel:.4g} Å per pixel at which {formula} has its lattice "
        f"{formula} leaves {100 * fitted.left:.0f} % of what it shows unexplained (residuals {fitted.excess:.3g} times "
        "the noise's square); check structure, zone and detectors, or say --pixel-A to fit all the same"
    )


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


def uncounted(name: str, values: npt.NDArray[np.floating], excess: float) -> list[str]:
    """A line if an image that is said to be of electrons varies less, or more, than they do by chance.

    ``excess``: mean square of its residuals over the variance of counting. Where hardly any electrons are the measure
    itself is smaller.
    """
    if float(np.mean(values)) < MANY or QUIET <= excess <= LARGE:
        return []
    why = "a mean of frames, a gain, a smoothed image" if excess < QUIET else "a gain, an offset, or a poor fit"
    return [
        f"{name}: residuals are {excess:.2g} times what counted electrons leave: its values may be none ({why}); "
        "errors and doses are those of electrons: say --no-counts"
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
