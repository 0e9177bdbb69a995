"""Radial weights of SevenNet-0 as functions of distance: polynomials on cells of a grid of distances.

Not the splines of `rhotem.learned.kernels.convolution`: the second derivative of SevenNet-0's cutoff function jumps at
4.5 Å, which a spline smooths over its neighbours, and differences of its coefficients round slopes to 1e-5. Cells end
at 4.5 Å; a coefficient of its own for every power keeps slopes as exact as values.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.learned.dense import SILU, sigmoid
from rhotem.learned.encoders.interaction import CUTOFF, DECAY
from rhotem.learned.neighbours import CLOSEST

Floats = npt.NDArray[np.float64]

#: Width of a cell in Å, and degree on it: slopes err by 4e-8 to 2e-7 in the mean square beyond 0.8 Å.
SPACING, DEGREE = 0.025, 5


def weights_and_slopes(matrices: Sequence[npt.NDArray], frequencies: npt.NDArray, r: Floats) -> tuple[Floats, Floats]:
    """A radial network in double precision and its derivative, (E, F) and (E, F) per Å, at distances r (E,) in Å."""
    k, d = frequencies.astype(float), r[:, None]
    waves, turned = np.sin(k * d) / d, np.cos(k * d) * k / d
    end, fall = _decay(r)
    x = 2.0 / CUTOFF * waves * end[:, None]
    slope = 2.0 / CUTOFF * ((turned - waves / d) * end[:, None] + waves * fall[:, None])
    for n, w in enumerate(matrices):
        scaled = w.astype(float) / math.sqrt(len(w))
        if n:
            s = sigmoid(x)
            slope *= SILU * s * (1.0 + x * (1.0 - s))
            x = SILU * x * s
        x, slope = x @ scaled, slope @ scaled
    return x, slope


def _decay(r: Floats) -> tuple[Floats, Floats]:
    """XPLOR and its derivative: 1 up to DECAY, then smoothly to 0 at CUTOFF."""
    a, b, c = np.clip(r, DECAY, CUTOFF) ** 2, DECAY**2, CUTOFF**2
    value = (c - a) ** 2 * (c + 2 * a - 3 * b) / (c - b) ** 3
    return value, 2.0 * r * 6.0 * (c - a) * (b - a) / (c - b) ** 3


def table(matrices: Sequence[npt.NDArray], frequencies: npt.NDArray, dtype: npt.DTypeLike) -> npt.NDArray:
    """Coefficients of the polynomials of all cells, (cells, DEGREE + 1, F), through Chebyshev's points."""
    terms, cells = DEGREE + 1, round((CUTOFF - CLOSEST) / SPACING)
    points = np.cos(np.pi * (np.arange(terms) + 0.5) / terms)
    r = CLOSEST + SPACING * (np.arange(cells)[:, None] + 0.5 * (1.0 + points))
    values = weights_and_slopes(matrices, frequencies, r.ravel())[0].reshape(cells, terms, -1)
    return np.ascontiguousarray(np.linalg.inv(np.vander(points, increasing=True)) @ values, dtype=dtype)


def places(r: Floats, dtype: npt.DTypeLike) -> tuple[npt.NDArray[np.int64], npt.NDArray]:
    """Cells that distances (E,) in Å lie in, and where in them, −1 to 1."""
    u = (r - CLOSEST) / SPACING
    cell = np.clip(np.floor(u).astype(np.int64), 0, round((CUTOFF - CLOSEST) / SPACING) - 1)
    return cell, (2.0 * (u - cell) - 1.0).astype(dtype)
