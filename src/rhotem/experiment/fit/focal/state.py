"""Images of a focal series and the parameters of its fit."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Array = npt.NDArray[np.float64]

#: Parameters that all images share, their units and scales in a fit.
NAMES = (
    "thickness", "defocus", "focus_step", "Cs", "C12a", "C12b", "focal_spread", "blur",
    "x_column", "x_row", "y_column", "y_row",
)  # fmt: skip
UNITS = ("Å", "Å", "", "Å", "Å", "Å", "Å", "Å", "Å/px", "Å/px", "Å/px", "Å/px")
SCALES = np.array([3.0, 5.0, 0.01, 1e4, 5.0, 5.0, 3.0, 0.05, 1e-3, 1e-3, 1e-3, 1e-3])
#: Those of specimen, lens and camera; those of every image.
LENS = 8
EACH = ("x", "y", "gain", "offset")


@dataclass(frozen=True, eq=False)
class Photo:
    """One image of a series.

    Parameters
    ----------
    values : (rows, columns) array
        Row 0 on top. Electrons where ``counts``, else any unit.
    counts : bool
    noise : float or None
        Standard deviation of a pixel where values are no electrons; None: what second differences show.
    """

    values: npt.NDArray[np.floating]
    counts: bool = False
    noise: float | None = None

    def __post_init__(self) -> None:
        if np.ndim(self.values) != 2 or not np.isfinite(self.values).all():
            raise InputError(f"image of a series: expected finite numbers, got shape {np.shape(self.values)}")
        if self.counts and np.min(self.values) < 0:
            raise InputError("image of a series: electrons below zero; give counts=False if values have an offset")


@dataclass(frozen=True, eq=False)
class FocalState:
    """One value of every parameter.

    Parameters
    ----------
    values : (12,) array
        ``thickness``; ``defocus`` of the first image (positive is underfocus, 0 the exit surface) and ``focus_step``,
        what the stated steps of focus are to be multiplied with; ``Cs``; ``C12a``, ``C12b``: twofold astigmatism
        C12 cos 2φ12 and C12 sin 2φ12; ``focal_spread`` (standard deviation); ``blur``: standard deviation of the
        Gaussian that camera and vibration blur with, MTF = exp(−2π² blur² q²); all in Å. ``x_column`` … ``y_row``: how
        far one column or row is along x and y.
    each : (images, 4) array
        ``x``, ``y`` where pixel (0, 0) lies in the crystal's cell, Å; ``gain``: value of a pixel of the incident beam;
        ``offset``.
    """

    values: Array
    each: Array

    @property
    def whole(self) -> Array:
        """All parameters as one array."""
        return np.concatenate([self.values, self.each.ravel()])

    def from_whole(self, whole: Array) -> Self:
        """The same with other values of all parameters."""
        head, rest = np.split(np.asarray(whole, dtype=float), [len(NAMES)])
        return type(self)(head, rest.reshape(-1, len(EACH)))

    def __getattr__(self, name: str) -> float:
        if name in NAMES:
            return float(self.values[NAMES.index(name)])
        raise AttributeError(name)

    @property
    def affine(self) -> Array:
        """Matrix (2, 2) that takes (column, row) to Å along (x, y)."""
        return self.values[LENS:].reshape(2, 2)
