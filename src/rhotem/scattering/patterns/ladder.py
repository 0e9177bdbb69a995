"""Thicknesses between those that are kept."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

#: Thicknesses that an interpolation takes.
POINTS = 4
#: Weights below are those of rounding.
ROUNDING = 1e-12
#: Relative slack of limits.
SLACK = 1e-9


def weights_of(
    held: Sequence[float], asked: Sequence[float], between: bool, slice_thickness: float, what: str = "patterns"
) -> npt.NDArray[np.float64]:
    """Weights (asked, levels) of the levels that patterns at some thicknesses are sums of.

    Level 0 is the entrance surface, where the pattern is the aperture; level n the n-th thickness held. Between levels
    runs the cubic through the four nearest (Lagrange).

    Parameters
    ----------
    held, asked : sequences of float
        Å.
    between : bool
        Whether there is anything between.
    slice_thickness : float
        Å; what is nearer than half of that to one held is that one, where there is nothing between.
    what : str
        Name of what holds them.

    Raises
    ------
    InputError
        If one is not held.
    """
    nodes = np.array([0.0, *held])
    mixing = np.zeros((len(asked), len(nodes)))
    for row, depth in enumerate(asked):
        nearest = 1 + int(np.argmin(np.abs(nodes[1:] - depth)))
        slack = 0.5 * slice_thickness * (1 + SLACK)
        known = abs(nodes[nearest] - depth) <= (1e-6 * slice_thickness if between else slack)
        beyond = depth > nodes[-1] + slack or depth < 0 or not np.isfinite(depth)
        if not known and (not between or beyond):
            raise InputError(f"thickness {0.1 * depth:.4g} nm: the {what} hold {_words(held, between)}")
        if known:
            mixing[row, nearest] = 1.0
            continue
        mixing[row] = cubic(nodes, min(depth, nodes[-1]))[0]
    return mixing


def cubic(
    nodes: Sequence[float] | npt.NDArray[np.float64], depth: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weights of values at ``nodes`` for one at ``depth``, and their slopes: Lagrange's cubic through four nodes."""
    held = np.asarray(nodes, dtype=float)
    first = int(np.clip(np.searchsorted(held, depth) - POINTS // 2, 0, max(0, len(held) - POINTS)))
    points = held[first : first + POINTS]
    weights, slopes = np.zeros(len(held)), np.zeros(len(held))
    for place, point in enumerate(points):
        others = np.delete(points, place)
        factors, widths = (depth - others) / (point - others), point - others
        weights[first + place] = np.prod(factors)
        slopes[first + place] = sum(np.prod(np.delete(factors, n)) / widths[n] for n in range(len(others)))
    weights[np.abs(weights) < ROUNDING] = 0.0
    return weights, slopes


def _words(held: Sequence[float], between: bool) -> str:
    """The thicknesses held, in nm."""
    if between:
        return f"0 to {0.1 * held[-1]:.4g} nm"
    listed = ", ".join(f"{0.1 * t:.4g}" for t in held)
    return f"{listed} nm"
