"""The bright area of a diffraction pattern: where to look for its direct disc."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

#: Level of the rim between background and brightest pixels; parts of the shorter side over which pixels are smoothed.
LEVEL, SMOOTH = 0.35, 400


@dataclass(frozen=True, eq=False)
class BrightArea:
    """The largest area above `LEVEL`, its holes filled.

    Parameters
    ----------
    mask : (rows, columns) bool array
    row, column : float
        Its middle in pixels.
    radius : float
        Of a disc of equal area, pixels.
    """

    mask: npt.NDArray[np.bool_]
    row: float
    column: float
    radius: float


def bright_area(pattern: npt.NDArray[np.floating], name: str) -> BrightArea:
    """The bright area of a pattern; ``name`` is what errors call it.

    Raises
    ------
    InputError
        If nothing is brighter than the edge.
    """
    from scipy.ndimage import binary_fill_holes, gaussian_filter, label

    smooth = gaussian_filter(np.asarray(pattern, dtype=float), max(1.0, min(pattern.shape) / SMOOTH))
    edge = np.concatenate([smooth[0], smooth[-1], smooth[:, 0], smooth[:, -1]])
    dark, bright = float(np.median(edge)), float(np.percentile(smooth, 99.9))
    if not bright > dark:
        raise InputError(f"{name}: no bright disc in it; give a convergent-beam pattern with its whole direct disc")
    areas, _ = label(smooth > dark + LEVEL * (bright - dark))
    mask = binary_fill_holes(areas == 1 + int(np.argmax(np.bincount(areas.ravel())[1:])))
    row, column = (float(places.mean()) for places in np.nonzero(mask))
    return BrightArea(mask, row, column, float(np.sqrt(mask.sum() / np.pi)))
