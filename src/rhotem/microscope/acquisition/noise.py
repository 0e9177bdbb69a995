"""Random processes with a known variance and autocorrelation."""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def exponential(times: Array, decay: float, rng: np.random.Generator) -> Array:
    """A stationary normal process of unit variance whose autocorrelation is ``exp(−|t − t'|/decay)``.

    The Ornstein–Uhlenbeck process at increasing ``times`` (n,), exact at any spacing (Gillespie, Phys. Rev. E 54, 2084,
    1996): ``x(t + Δ) = ρ x(t) + √(1 − ρ²) z``, ρ = exp(−Δ/decay).
    """
    return _recursive(np.exp(-np.diff(times) / decay), rng)


def memory(number: int, length: float, rng: np.random.Generator) -> Array:
    """``number`` values of unit variance, autocorrelation ``exp(−|i − j|/length)``; independent where length is 0."""
    share = np.exp(-1 / length) if length else 0.0
    return _recursive(np.full(max(number - 1, 0), share), rng)


def _recursive(shares: Array, rng: np.random.Generator) -> Array:
    draws = rng.standard_normal(len(shares) + 1)
    draws[1:] *= np.sqrt(1 - shares**2)
    if not len(shares) or shares.max() == 0:
        return draws
    return np.asarray(_chain()(np.append(0.0, shares), draws))


@cache
def _chain() -> Callable[[Array, Array], Array]:
    """``x[i] = shares[i] x[i − 1] + draws[i]``, compiled: a picture of a data set spent a third of its time here."""
    from rhotem.core.compiled import compiled

    def chain(shares: Array, draws: Array) -> Array:
        result, last = np.empty_like(draws), 0.0
        for i in range(len(draws)):
            last = shares[i] * last + draws[i]
            result[i] = last
        return result

    return compiled(chain, exact=True)


def lagged(values: Array, step: float, decay: float) -> Array:
    """Values (..., n) every ``step`` through a detector that answers with ``exp(−t/decay)``; settled at the first.

    White noise keeps (1 − a)/(1 + a) of its variance and has the autocorrelation ``a^|k|``, a = exp(−step/decay).
    """
    from scipy.signal import lfilter

    if decay == 0:
        return values
    a = float(np.exp(-step / decay))
    return np.asarray(lfilter([1 - a], [1, -a], values, zi=a * values[..., :1])[0])
