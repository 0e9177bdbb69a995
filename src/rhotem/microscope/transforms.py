"""Fourier transforms on this machine: lengths that are fast, and waves whose coefficients fill a part of the grid."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

#: How much longer than needed a transform may be, if that is faster.
LONGER = 1.2
#: Time of a point beside that of its transform along one axis: the other axis, two products, memory.
BESIDE = 1.5


@lru_cache(maxsize=1024)
def fast_length(length: int) -> int:
    """Length from ``length`` to `LONGER` times that which transforms fastest, measured row by row with FFTW.

    Vector instructions want many factors 2: a point of 384 takes half the time of one of 360.
    """

    def cost(n: int) -> float:
        rest, odd = n, []
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
                odd += [prime] * (prime > 2)
        if rest > 1:
            return np.inf
        twos = min(n & -n, 16)
        own = {16: 1.0, 8: 1.35, 4: 1.6, 2: 2.3, 1: 2.6}[twos]
        own += 0.6 * (odd.count(3) > 1 and n > 144) + 0.2 * odd.count(7)
        return n * (BESIDE + own)

    return min(range(length, int(LONGER * length) + 1), key=lambda n: (cost(n), n), default=length)


class BandLimited:
    """Waves with their transforms, in place, of which only coefficients up to a largest index along x exist.

    Rows beyond it hold zeros, which need no transform along y: a third of them where a grid has no aliases of products.

    Parameters
    ----------
    number : int
        Waves.
    shape : (int, int)
        Grid.
    half : int
        Largest index of coefficients along x.

    Attributes
    ----------
    waves : (number, nx, ny) complex64 array
        Values or coefficients.
    parts : list of slice
        Rows that hold coefficients.
    """

    def __init__(self, number: int, shape: tuple[int, int], half: int) -> None:
        import pyfftw

        n = shape[0]
        whole = 2 * half + 1 >= n
        self.waves = pyfftw.zeros_aligned((number, *shape), dtype="complex64")
        self.parts = [slice(0, n)] if whole else [slice(0, half + 1), *([slice(n - half, n)] if half else [])]
        self._gap = self.waves[:, half + 1 : n - half] if not whole else self.waves[:, :0]
        rows = [self.waves[:, part] for part in self.parts]
        self._forward = [self._plan(self.waves, 1, "FFTW_FORWARD"), *(self._plan(r, 2, "FFTW_FORWARD") for r in rows)]
        self._backward = [
            *(self._plan(r, 2, "FFTW_BACKWARD") for r in rows),
            self._plan(self.waves, 1, "FFTW_BACKWARD"),
        ]

    @staticmethod
    def _plan(waves: npt.NDArray[np.complex64], axis: int, direction: str) -> Any:
        import pyfftw

        options: dict[str, Any] = {"threads": 1, "flags": ("FFTW_MEASURE",), "planning_timelimit": 5.0}
        return pyfftw.FFTW(waves, waves, axes=(axis,), direction=direction, **options).execute

    def forward(self) -> None:
        """Values to coefficients times the number of points; those beyond are dropped."""
        self._forward[0]()
        self._gap[:] = 0
        for rows in self._forward[1:]:
            rows()

    def backward(self) -> None:
        """Coefficients to values."""
        for one in self._backward:
            one()

    def filter(self, factor: npt.NDArray[np.complex64]) -> None:
        """Multiply the coefficients by ``factor`` (nx, ny)."""
        for part in self.parts:
            self.waves[:, part] *= factor[part]
