"""The bright disc of a convergent-beam pattern: where it is on the detector, and how large."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Array = npt.NDArray[np.float64]

#: Level of the disc's rim between background and brightest pixels.
LEVEL = 0.35
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
    from scipy.ndimage import binary_fill_holes, gaussian_filter, label

    values = np.asarray(picture, dtype=float)
    smooth = gaussian_filter(values, max(1.0, min(values.shape) / 400))
    edge = np.concatenate([smooth[0], smooth[-1], smooth[:, 0], smooth[:, -1]])
    dark, bright = float(np.median(edge)), float(np.percentile(smooth, 99.9))
    if not bright > dark:
        raise InputError(f"{name}: no bright disc in it; give a convergent-beam pattern with its whole direct disc")
    areas, number = label(smooth > dark + LEVEL * (bright - dark))
    sizes = np.bincount(areas.ravel())[1:]
    area = binary_fill_holes(areas == 1 + int(np.argmax(sizes))) if number else np.zeros_like(areas, dtype=bool)
    places = np.argwhere(area)
    radius = float(np.sqrt(len(places) / np.pi))
    centre = places.mean(axis=0)
    if radius < SMALLEST:
        raise InputError(
            f"{name}: its brightest spot is {2 * radius:.0f} pixels wide; expected a disc of 16 or more (a hot pixel "
            "is to be repaired first)"
        )
    if area[0].any() or area[-1].any() or area[:, 0].any() or area[:, -1].any():
        raise InputError(f"{name}: the bright area runs into the edge; give a pattern with the whole direct disc")
    if (np.hypot(*(places - centre).T) < ROUND * radius).mean() < SHARE:
        raise InputError(f"{name}: its bright area is no disc; give a convergent-beam pattern with one direct disc")
    return Disc(float(centre[0]), float(centre[1]), radius)
