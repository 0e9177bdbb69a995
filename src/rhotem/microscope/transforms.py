"""Fourier transforms on this machine: lengths that are fast, and waves whose coefficients fill a part of the grid."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Complex = npt.NDArray[np.complex64]

#: How much longer than needed a transform may be, if that is faster.
LONGER = 1.2
#: Time of a point beside that of its transform along one axis: the other axis, two products, memory.
BESIDE = 1.5
#: Distances between slices whose propagators one thread keeps at hand.
DISTANCES = 8


@lru_cache(maxsize=1024)
def fast_length(length: int) -> int:
    """Length from ``length`` to `LONGER` times that whose rows FFTW transforms fastest, as measured.

    Vector instructions want many factors 2: a point of 384 takes half the time of one of 360.
    """
    return min(range(length, int(LONGER * length) + 1), key=lambda n: (_row_time(n), n), default=length)


def _row_time(n: int) -> float:
    """Time of a row of ``n`` points in units of that of one good point's transform."""
    rest, odd = n, []
    for prime in (2, 3, 5, 7):
        while rest % prime == 0:
            rest //= prime
            odd += [prime] * (prime > 2)
    if rest > 1:
        return float("inf")
    own = {16: 1.0, 8: 1.35, 4: 1.6, 2: 2.3, 1: 2.6}[min(n & -n, 16)]
    return n * (BESIDE + own + 0.6 * (odd.count(3) > 1 and n > 144) + 0.2 * odd.count(7))


def fast_grid(shape: tuple[int, int]) -> tuple[int, int]:
    """Grid from ``shape`` on whose waves pass slices fastest; one for `rhotem.microscope.strips` where that is near."""
    from rhotem.microscope.lanes import LANES
    from rhotem.microscope.strips import work

    def cost(n: int) -> tuple[float, int]:
        return n * (BESIDE + work(n)), n

    first, second = (range(n, int(LONGER * n) + 1) for n in shape)
    rows = min((n for n in first if np.isfinite(work(n))), key=cost, default=None)
    columns = min((n for n in second if n % LANES == 0 and np.isfinite(work(n))), key=cost, default=None)
    if rows is None or columns is None:
        return fast_length(shape[0]), fast_length(shape[1])
    return rows, columns


class BandLimited:
    """Waves of which only coefficients up to a largest index along x exist, on their way through slices.

    Rows of coefficients beyond it hold zeros: a third of them where a grid has no aliases of products.

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
        Coefficients along x; coefficients or values along y.
    used : int
        Waves that are not zero, the first of them.
    """

    def __init__(self, number: int, shape: tuple[int, int], half: int) -> None:
        from rhotem.microscope.strips import Strips, aligned, fits

        self.used, n = number, shape[0]
        whole = 2 * half + 1 >= n
        self.waves = aligned((number, *shape, 2)).view(np.complex64)[..., 0]
        self._parts = [slice(0, n)] if whole else [slice(0, half + 1), *([slice(n - half, n)] if half else [])]
        self._gap = self.waves[:, :0] if whole else self.waves[:, half + 1 : n - half]
        rows = [self.waves[:, part] for part in self._parts]
        self._strips = Strips(self.waves, half) if fits(shape) else None
        planned = _as_needed if self._strips else _plan  # planning takes longer than what remains beside strips
        self._forward, self._backward = ([planned(r, 2, way) for r in rows] for way in ("FORWARD", "BACKWARD"))
        self._across = [] if self._strips else [_plan(self.waves, 1, way) for way in ("BACKWARD", "FORWARD")]
        self._travels: list[tuple[Complex, Callable[[], None]]] = []
        self.waves[:] = 0

    def through(self, transmission: npt.NDArray[Any]) -> None:
        """Multiply by a slice of `transmission`, values along y; coefficients along x gain the factor nx."""
        if self._strips:
            self._strips.through(transmission, self.used)
            return
        self._across[0]()
        self.waves *= transmission
        self._across[1]()
        self._gap[:] = 0

    def coefficients(self, factor: Complex) -> None:
        """Values along y to coefficients, times the number of columns and ``factor`` (nx, ny)."""
        for rows in self._forward:
            rows()
        for part in self._parts:
            self.waves[:, part] *= factor[part]

    def values(self) -> None:
        """Coefficients along y to values."""
        for rows in self._backward:
            rows()

    def between(self, factor: Complex) -> Callable[[], None]:
        """What does `coefficients` and `values` at once, with a ``factor`` that many slices share."""
        for known, travel in self._travels:
            if known is factor:
                return travel
        self._travels = [*self._travels[-DISTANCES:], (factor, self._between(factor))]
        return self._travels[-1][1]

    def _between(self, factor: Complex) -> Callable[[], None]:
        if self._strips is not None:
            travel = self._strips.between(factor)
            return lambda: travel(self.used)

        def both() -> None:
            self.coefficients(factor)
            self.values()

        return both


def _plan(waves: Complex, axis: int, direction: str) -> Any:
    """A transform in place, the fastest of several."""
    import pyfftw

    options: dict[str, Any] = {"threads": 1, "flags": ("FFTW_MEASURE",), "planning_timelimit": 5.0}
    return pyfftw.FFTW(waves, waves, axes=(axis,), direction=f"FFTW_{direction}", **options).execute


def _as_needed(waves: Complex, axis: int, direction: str) -> Callable[[], None]:
    """The same without planning, for the few times that waves enter and leave."""
    import scipy.fft

    def transform() -> None:
        if direction == "FORWARD":
            waves[:] = scipy.fft.fft(waves, axis=axis)
        else:
            waves[:] = scipy.fft.ifft(waves, axis=axis, norm="forward")

    return transform
