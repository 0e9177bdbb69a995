"""Numbers that are no picture: not finite, constant, at the end of the detector's range."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

#: Pixels that must share the top value, and how many times as many as share each of the values below.
LEAST, EXCESS = 4, 4.0
#: Values below the top that are compared.
BELOW = 8


def check(data: npt.NDArray[Any], path: Path) -> None:
    """Refuse what is no recording.

    Raises
    ------
    InputError
        If there are no pixels, complex or non-finite ones, or all are equal.
    """
    if data.size == 0:
        raise InputError(f"{path}: no pixels")
    if np.iscomplexobj(data):
        raise InputError(f"{path}: complex numbers, a transform or a DPC pair; save one real image")
    if data.dtype.kind not in "buif":
        raise InputError(f"{path}: values of type {data.dtype}, expected numbers")
    if data.dtype.kind == "f":
        wrong = data.size - int(np.isfinite(data).sum())
        if wrong:
            raise InputError(f"{path}: {wrong} of {data.size} pixels are NaN or infinite; repair them first")
    if data.min() == data.max():
        raise InputError(f"{path}: every pixel is {data.flat[0]:g}; nothing was recorded")


def saturated(data: npt.NDArray[Any]) -> float:
    """Share of the pixels at the top value, if far more share it than each of the values below; else 0.

    A detector or converter at its end piles pixels up at one value; the maximum of a recording within its range is
    reached by hardly any.
    """
    top = data.max()
    number = int((data == top).sum())
    if number < LEAST:
        return 0.0
    if data.dtype.kind in "bui":
        lowest = max(int(top) - BELOW, int(data.min()))
        below = int(((data >= lowest) & (data < top)).sum()) / max(int(top) - lowest, 1)
    else:
        others = data[(data < top) & (data > top - 0.02 * (float(top) - float(data.min())))]
        values, counts = np.unique(others, return_counts=True)
        below = float(counts[-BELOW:].mean()) if len(values) else 0.0
    return number / data.size if number > EXCESS * below else 0.0
