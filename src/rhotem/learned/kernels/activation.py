"""Activations of single precision, compiled so that they vectorise."""

import numpy as np
import numpy.typing as npt

from rhotem.core.compiled import compiled
from rhotem.learned import dense

#: Arguments of exp beyond this are cut off: 1e38 stays below the largest number.
LARGEST = 87.0


def silu(x: npt.NDArray) -> npt.NDArray:
    """x/(1 + e^−x) in place of ``x`` (any shape, contiguous)."""
    if x.dtype != np.float32:
        x[...] = dense.silu(x)
    else:
        _silu(x.reshape(-1))
    return x


@compiled(inside=True)
def _exp(x):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """exp(x) of single precision for |x| <= 87 to 2e-7: calls of the library's do not vectorise."""
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    f = (x - n * np.float32(0.693359375)) + n * np.float32(2.12194440e-4)
    p = np.float32(1.0 / 120.0) + f * np.float32(1.0 / 720.0)
    p = np.float32(1.0 / 24.0) + f * p
    p = np.float32(1.0 / 6.0) + f * p
    p = np.float32(0.5) + f * p
    p = np.float32(1.0) + f * (np.float32(1.0) + f * p)
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled
def _silu(x):  # type: ignore[no-untyped-def]  # compiled: numba types it
    largest = np.float32(LARGEST)
    for i in range(len(x)):
        x[i] = x[i] / (np.float32(1.0) + _exp(min(max(-x[i], -largest), largest)))
