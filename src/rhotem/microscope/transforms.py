"""Fourier transforms on this machine: lengths that are fast."""

import numpy as np


def fast_length(length: int) -> int:
    """Length from ``length`` to 1.1 times that which transforms fastest.

    FFTW with vector instructions wants factors 2: 128 × 360 takes half the time of 125 × 350.
    """

    def cost(n: int) -> float:
        rest, weight = n, 1.0 if n % 8 == 0 else 1.6
        for prime, penalty in ((2, 0.0), (3, 0.08), (5, 0.1), (7, 0.15)):
            while rest % prime == 0:
                rest, weight = rest // prime, weight + penalty
        return n * weight if rest == 1 else np.inf

    return min(range(length, int(1.1 * length) + 1), key=lambda n: (cost(n), n), default=length)
