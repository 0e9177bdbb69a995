"""Which pixels of a labelled picture a network of columns learns from: not those of columns that noise hides."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

#: Standard deviations of the noise above which a column can be read.
LEAST = 1.0
#: Å: pixels nearer to a hidden column do not count, unless they are as near to one that can be read.
AROUND = 0.6
#: Columns of the table: places (x, y) in pixels, and how far above the noise (`rhotem.library.dataset.store.TABLE`).
PLACES, ABOVE = slice(0, 2), 7


def readable(arrays: Mapping[str, Any], said: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.uint8]:
    """Maps (pictures, rows, columns), 1 where a pixel counts in the loss.

    A label of a column that nothing in the picture shows teaches a network to call columns where there are none, and
    not to call those that are faint. Columns of a bright or dark field of electrons stand above the noise in either
    direction: dark ones are dark columns in ABF alone.

    Parameters
    ----------
    arrays : mapping
        ``image`` (pictures, rows, columns), ``table`` and ``starts`` of a shard; without a table every pixel counts.
    said : sequence of mapping
        Of every picture ``pixel_A`` and ``image``.
    """
    shape = arrays["image"].shape
    result = np.ones(shape, dtype=np.uint8)
    if "table" not in arrays:
        return result
    table, number = arrays["table"], np.repeat(np.arange(shape[0]), np.diff(arrays["starts"]))
    dark = np.array([one.get("image") == "ABF" for one in said])[number]
    above = np.where(dark, np.abs(table[:, ABOVE]), table[:, ABOVE])
    pixel = np.array([one["pixel_A"] for one in said])[number]
    for value, chosen in ((0, above < LEAST), (1, above >= LEAST)):
        _stamp(result, table[chosen, PLACES], number[chosen], AROUND / pixel[chosen], value)
    return result


def _stamp(maps: npt.NDArray[np.uint8], places: Any, number: Any, radius: Any, value: int) -> None:
    """Set discs around places (x, y) of maps ``number`` to a value."""
    if not len(places):
        return
    whole = np.rint(places).astype(int)
    reach = int(np.ceil(radius.max() + 0.5))
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            x, y = whole[:, 0] + dx, whole[:, 1] + dy
            inside = (x >= 0) & (y >= 0) & (x < maps.shape[2]) & (y < maps.shape[1])
            inside &= np.hypot(x - places[:, 0], y - places[:, 1]) <= radius
            maps[number[inside], y[inside], x[inside]] = value
