"""Blurs by boxes, compiled: running sums, whose cost does not depend on the width of the box."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.compiled import compiled


def blurred(values: npt.NDArray[Any], width: int, times: int) -> npt.NDArray[np.float32]:
    """Pictures (..., rows, columns) by ``times`` boxes of ``width`` × ``width`` pixels, mirrored at their edges.

    As `scipy.ndimage.uniform_filter` with ``mode="reflect"`` applied so often; three are nearly a Gaussian.

    Parameters
    ----------
    values : (..., rows, columns) array
    width : int
        Odd.
    times : int
    """
    stack = np.ascontiguousarray(values, dtype=np.float32).reshape(-1, *np.shape(values)[-2:])
    return _blurred(stack, width // 2, times).reshape(np.shape(values))


@compiled
def _blurred(stack: npt.NDArray[np.float32], half: int, times: int) -> npt.NDArray[np.float32]:
    """All of ``times`` along the rows, turned, along the columns, turned back."""
    result = np.empty_like(stack)
    for n in range(len(stack)):
        turned = np.ascontiguousarray(_along(stack[n], half, times).T)
        result[n] = _along(turned, half, times).T
    return result


@compiled
def _along(picture: npt.NDArray[np.float32], half: int, times: int) -> npt.NDArray[np.float32]:
    """Means over 2 half + 1 rows; sums in double precision, so that nothing is left over of rows that went."""
    rows, columns = picture.shape
    part = 1.0 / (2 * half + 1)
    old, new, total = picture.copy(), np.empty_like(picture), np.empty(columns)
    for _ in range(times):
        total[:] = 0.0
        for row in range(-half, half + 1):
            come = _mirrored(row, rows)
            for column in range(columns):
                total[column] += old[come, column]
        for row in range(rows):
            gone, come = _mirrored(row - half, rows), _mirrored(row + half + 1, rows)
            for column in range(columns):
                new[row, column] = part * total[column]
                total[column] += np.float64(old[come, column]) - np.float64(old[gone, column])
        old, new = new, old
    return old


@compiled(inside=True)
def _mirrored(row: int, rows: int) -> int:
    """The row that stands at a place beyond the edges: d c b a | a b c d | d c b a."""
    place = row % (2 * rows)
    return min(place, 2 * rows - 1 - place)
