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
    count, rows, columns = arrays["image"].shape
    if "table" not in arrays:
        return np.ones((count, rows, columns), dtype=np.uint8)
    table, number = arrays["table"], np.repeat(np.arange(count), np.diff(arrays["starts"]))
    dark = np.array([one.get("image") == "ABF" for one in said])[number]
    above = np.where(dark, np.abs(table[:, ABOVE]), table[:, ABOVE])
    radius = AROUND / np.array([one["pixel_A"] for one in said])[number]
    reach = int(np.ceil(radius.max(initial=0.0) + 0.5))
    # discs may reach beyond the picture: a rim around it is cut off at the end
    places = np.clip(table[:, PLACES], -reach, [columns - 1 + reach, rows - 1 + reach])
    result = np.ones((count, rows + 4 * reach, columns + 4 * reach), dtype=np.uint8)
    for value, chosen in ((0, above < LEAST), (1, above >= LEAST)):
        _stamp(result, places[chosen] + 2 * reach, number[chosen], radius[chosen], value)
    return result[:, 2 * reach : 2 * reach + rows, 2 * reach : 2 * reach + columns]


def _stamp(maps: npt.NDArray[np.uint8], places: Any, number: Any, radius: Any, value: int) -> None:
    """Set discs around places (x, y) of maps ``number`` to a value; they lie within the maps."""
    whole = np.rint(places).astype(np.int64)
    x, y = (places - whole).T
    first = (number * maps.shape[1] + whole[:, 1]) * maps.shape[2] + whole[:, 0]
    widest, squared, flat = radius.max(initial=0.0), radius**2, maps.reshape(-1)
    reach = int(np.ceil(widest + 0.5))
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if np.hypot(dx, dy) <= widest + np.sqrt(0.5):
                inside = (dx - x) ** 2 + (dy - y) ** 2 <= squared
                flat[first[inside] + dy * maps.shape[2] + dx] = value
