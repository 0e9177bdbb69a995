"""Pictures without colour."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError


def grey(data: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """Grey values of a picture with channels last, if all of its colours are equal; others go through.

    Raises
    ------
    InputError
        If it is in colour, or partly transparent.
    """
    if data.dtype.names:
        data = np.stack([data[name] for name in data.dtype.names], axis=-1)
    elif data.ndim < 3 or data.shape[-1] not in (2, 3, 4):
        return data
    channels = data.shape[-1]
    if channels in (2, 4):
        opaque = data[..., -1]
        if np.ptp(opaque):
            raise InputError(f"{path}: the picture is partly transparent; save its grey values")
        data = data[..., :-1]
    if channels > 2 and any((data[..., 0] != data[..., i]).any() for i in (1, 2)):
        raise InputError(f"{path}: a colour picture; save the grey values that the detector gave")
    return np.ascontiguousarray(data[..., 0])
