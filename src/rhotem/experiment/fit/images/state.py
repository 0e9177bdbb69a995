"""Parameters of a fit of images."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Parameters beside gains and offsets, and their units.
NAMES = (
    "thickness", "defocus", "C12a", "C12b", "source_size",
    "x", "y", "x_column", "x_row", "y_column", "y_row", "x_bend", "y_bend",
)  # fmt: skip
UNITS = ("Å", "Å", "Å", "Å", "Å", "Å", "Å", "Å/px", "Å/px", "Å/px", "Å/px", "Å", "Å")
#: Their scales in a fit.
SCALES = np.array([5.0, 5.0, 5.0, 5.0, 0.1, 0.05, 0.05, 1e-3, 1e-3, 1e-3, 1e-3, 0.05, 0.05])
#: Those of the lens and the specimen; the others place the scan.
LENS = 5
#: How far in Å drift may bend a scan.
BEND = 1.0


@dataclass(frozen=True, eq=False)
class State:
    """One value of every parameter.

    Parameters
    ----------
    values : (13,) array
        ``thickness``, ``defocus`` (positive is underfocus), ``source_size`` (FWHM) in Å; ``C12a``, ``C12b``: twofold
        astigmatism C12 cos 2φ12 and C12 sin 2φ12; ``x``, ``y``: where pixel (0, 0) lies in the crystal's cell, and
        ``x_column`` … ``y_row`` how far one column or row is along x and y; ``x_bend``, ``y_bend``: how far drift bent
        the middle row off the line from first to last (`bow`); all in Å. Those left away at the end are 0.
    gains, offsets : (images,) arrays
        Value of a pixel = gain · simulated + offset.
    nodes : (axes,) array
        Values between nodes (`rhotem.experiment.fit.images.nodes`), if the specimen has any.
    """

    values: Array
    gains: Array
    offsets: Array
    nodes: Array = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        rest = len(NAMES) - len(self.values)
        object.__setattr__(self, "values", np.concatenate([self.values, np.zeros(rest)]))

    @property
    def whole(self) -> Array:
        """All parameters as one array."""
        return np.concatenate([self.values, self.gains, self.offsets, self.nodes])

    def from_whole(self, whole: Array) -> Self:
        """The same with other values of all parameters."""
        ends = np.cumsum([len(NAMES), len(self.gains), len(self.offsets)])
        return type(self)(*np.split(np.asarray(whole, dtype=float), ends))

    def __getattr__(self, name: str) -> float:
        if name in NAMES:
            return float(self.values[NAMES.index(name)])
        raise AttributeError(name)

    @property
    def lens(self) -> dict[str, Any]:
        """Settings of the response; aberrations besides are the response's."""
        size = float(np.hypot(self.C12a, self.C12b))
        turn = 0.5 * float(np.arctan2(self.C12b, self.C12a))
        return {"defocus": self.defocus, "source_size": self.source_size, "C12": size, "phi12": turn}


def affine(state: State) -> Array:
    """Matrix (2, 2) that takes (column, row) to Å along (x, y)."""
    return np.array([[state.x_column, state.x_row], [state.y_column, state.y_row]])


def bow(rows: npt.NDArray[np.integer], number: int) -> Array:
    """Parabola that is 0 at the first and the last of ``number`` rows, and 1 in their middle.

    Drift that grows or dies down during a scan bends it: this is its first shape beyond the affine map.
    """
    along = rows / max(1, number - 1)
    return np.asarray(4 * along * (1 - along))
