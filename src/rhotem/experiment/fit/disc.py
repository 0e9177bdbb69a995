"""The bright disc of a convergent-beam pattern: where it is on the detector, and how large."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.calibrate.bright import bright_area

#: Smallest radius in pixels, and share of the bright area that must lie in a circle of `ROUND` times its mean radius.
SMALLEST, SHARE, ROUND = 8.0, 0.85, 1.2


@dataclass(frozen=True)
class Disc:
    """The direct disc on the detector.

    Parameters
    ----------
    row, column : float
        Its centre in pixels.
    radius : float
        Of a disc of equal area, pixels.
    """

    row: float
    column: float
    radius: float


def find_disc(picture: npt.NDArray[np.floating], name: str = "pattern") -> Disc:
    """The bright area of a pattern as a disc of equal area.

    Overlapping discs brighten the surroundings of the direct one, so the radius is a first guess, 5 to 25 % too large
    as a rule.

    Parameters
    ----------
    picture : (rows, columns) array
    name : str
        What errors call it.

    Raises
    ------
    InputError
        If no bright disc lies wholly within the picture.
    """
    found = bright_area(np.asarray(picture, dtype=float), name)
    area, radius = found.mask, found.radius
    if radius < SMALLEST:
        raise InputError(
            f"{name}: its brightest spot is {2 * radius:.0f} pixels wide; expected a disc of 16 or more (a hot pixel "
            "is to be repaired first)"
        )
    if area[0].any() or area[-1].any() or area[:, 0].any() or area[:, -1].any():
        raise InputError(f"{name}: the bright area runs into the edge; give a pattern with the whole direct disc")
    rows, columns = np.nonzero(area)
    if (np.hypot(rows - found.row, columns - found.column) < ROUND * radius).mean() < SHARE:
        raise InputError(f"{name}: its bright area is no disc; give a convergent-beam pattern with one direct disc")
    return Disc(found.row, found.column, radius)
