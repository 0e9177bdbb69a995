"""The part of a measured pattern that is compared: its disc and what lies around it, in pixels of even size."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.fit.disc import Disc, find_disc
from rhotem.experiment.measurement import Measurement

Array = npt.NDArray[np.float64]

#: Half the side of the part, in radii of the bright area.
WIDTH = 1.35
#: Pixels after binning for one pixel of the simulation.
FINE = 2.0
#: Pixels across a radius for a look at a picture before anything is computed.
FEW = 20.0
#: Share of the disc's pixels at the detector's top value from which a pattern is refused.
SATURATED = 0.1


@dataclass(frozen=True, eq=False)
class Frame:
    """A measured pattern around its disc.

    Parameters
    ----------
    values : (m, n) array
        Means of bins, rows downwards; electrons for a bin where ``counts``. Fewer on a side where the camera ends.
    x, y : (m, n) arrays
        Middles of bins to the right and downwards from the disc's first guess, in pixels of the detector.
    bin : int
        Pixels along a side of a bin.
    disc : Disc
        The first guess.
    counts : bool
        Whether values are electrons.
    name : str
    """

    values: Array
    x: Array
    y: Array
    bin: int
    disc: Disc
    counts: bool
    name: str


def frame_of(measurement: Measurement, pixels: float) -> Frame:
    """The part of a pattern to be compared, with ``pixels`` pixels of the simulation across a radius of the disc.

    Raises
    ------
    InputError
        If it is no pattern, has no disc, or the disc is saturated.
    """
    name = measurement.source.path.rpartition("/")[2] or "pattern"
    if measurement.kind != "pattern":
        raise InputError(f"{name}: {measurement.kind}; expected one position-averaged pattern (--kind pattern)")
    data = np.asarray(measurement.data, dtype=float)
    disc = find_disc(data, name)
    _check_top(data, disc, name)
    size = max(1, round(disc.radius / pixels / FINE))
    half = int(np.ceil(WIDTH * disc.radius / size))
    (top, down), (left, right) = (
        _bins(middle, size, half, length)
        for middle, length in zip((round(disc.row), round(disc.column)), data.shape, strict=True)
    )
    part = data[top : top + size * down, left : left + size * right]
    binned = part.reshape(down, size, right, size)
    counts = bool(measurement.counts)
    values = binned.sum(axis=(1, 3)) if counts else binned.mean(axis=(1, 3))
    middles = size * np.arange(max(down, right)) + 0.5 * (size - 1)
    y, x = np.meshgrid(top + middles[:down] - disc.row, left + middles[:right] - disc.column, indexing="ij")
    return Frame(values, x, y, size, disc, counts, name)


def _bins(middle: int, size: int, half: int, length: int) -> tuple[int, int]:
    """First pixel and number of bins along one side, ``half`` on each side of the middle, that lie in the picture.

    What the camera did not see is not compared.
    """
    first = middle - size * half - size // 2
    before = max(0, -(first // size))
    number = min(2 * half + 1, (length - first) // size) - before
    return first + size * before, number


def _check_top(data: Array, disc: Disc, name: str) -> None:
    """Refuse a disc that the detector cut off at its top value."""
    rows, columns = np.indices(data.shape)
    inside = data[np.hypot(rows - disc.row, columns - disc.column) < disc.radius]
    share = float((inside == data.max()).mean())
    if share > SATURATED:
        raise InputError(
            f"{name}: {100 * share:.0f} % of the disc is at the detector's top value {data.max():g}; record it with "
            "less exposure"
        )
