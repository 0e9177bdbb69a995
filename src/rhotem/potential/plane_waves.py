"""Structure factors of points in the plane: Σ_a w_a exp(−2πi h·f_a), exact at any position."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid

#: Points per transform above which a non-uniform FFT beats matrix products (measured on two x86 cores).
NUFFT_FROM = 1500
#: Bytes of phase factors kept per element; beyond they are computed when needed.
KEPT = 64e6


@dataclass(frozen=True, eq=False)
class HalfPlane:
    """In-plane Fourier coefficients of a real slice: rows h_x = −n_x/2 …, columns h_y = 0 … n_y/2.

    For even n_x row 0 is the Nyquist line, which stands for ±n_x/2 and holds their average; likewise the last column
    for even n_y. The average keeps the slice real and independent of the sense of the axes.
    """

    grid: PeriodicGrid

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        n_x, n_y, _ = self.grid.shape
        return n_x, n_y // 2 + 1

    @property
    def centre(self) -> int:
        """Row of h_x = 0."""
        return self.grid.shape[0] // 2

    @cached_property
    def g(self) -> npt.NDArray[np.float64]:
        """|g| in 1/Å of every coefficient."""
        n_x, n_y, _ = self.grid.shape
        g_x = (np.arange(n_x) - self.centre) / self.grid.cell[0, 0]
        g_y = np.arange(n_y // 2 + 1) / self.grid.cell[1, 1]
        return np.hypot(g_x[:, None], g_y[None, :])

    def disk(self, cutoff: float) -> tuple[slice, slice]:
        """Smallest block that holds every coefficient with |g| <= ``cutoff``."""
        n_x, _, _ = self.grid.shape
        m_x, m_y = (int(cutoff * self.grid.cell[i, i]) + 1 for i in (0, 1))
        return slice(max(0, self.centre - m_x), min(n_x, self.centre + m_x + 1)), slice(0, min(self.shape[1], m_y + 1))

    def to_real(self, coefficients: npt.NDArray) -> npt.NDArray:
        """Real slices of the grid's in-plane shape from coefficients ``(..., rows, columns)``."""
        from scipy.fft import irfft2

        n_x, n_y, _ = self.grid.shape
        return irfft2(np.fft.ifftshift(coefficients, axes=-2), s=(n_x, n_y), norm="forward")


class PlaneWaves:
    """exp(−2πi h·f) of points with fractional in-plane coordinates, as factors along x and y.

    Parameters
    ----------
    plane : HalfPlane
    fractional : (N, 2) array
        In-plane fractional coordinates.
    dtype : complex type
        complex64 or complex128; phases are always evaluated in double precision.
    """

    def __init__(self, plane: HalfPlane, fractional: npt.NDArray[np.float64], dtype: npt.DTypeLike) -> None:
        self.plane, self.dtype = plane, np.dtype(dtype)
        self.fractional = fractional - np.floor(fractional)

    def factors(self, points: npt.NDArray[np.int64], block: tuple[slice, slice]) -> tuple[npt.NDArray, npt.NDArray]:
        """Factors (n, rows) and (n, columns) of the selected points on a block of coefficients."""
        if self.dtype.itemsize * len(self.fractional) * sum(self.plane.shape) < KEPT:
            e_x, e_y = self._all
            return e_x[points, block[0]], e_y[points, block[1]]
        return self._factors(self.fractional[points], block)

    @cached_property
    def _all(self) -> tuple[npt.NDArray, npt.NDArray]:
        return self._factors(self.fractional, (slice(None), slice(None)))

    def _factors(self, fractional: npt.NDArray, block: tuple[slice, slice]) -> tuple[npt.NDArray, npt.NDArray]:
        n_x, n_y, _ = self.plane.grid.shape
        h_x = np.arange(n_x)[block[0]] - self.plane.centre
        h_y = np.arange(self.plane.shape[1])[block[1]]
        return _phases(fractional[:, 0], h_x, n_x, self.dtype), _phases(fractional[:, 1], h_y, n_y, self.dtype)

    def sum(self, points: npt.NDArray[np.int64], weights: npt.NDArray, block: tuple[slice, slice]) -> npt.NDArray:
        """Σ_a w_ak exp(−2πi h·f_a) on a block, shape (K, rows, columns); ``weights`` has shape (n, K)."""
        if len(points) >= NUFFT_FROM:
            return self._sum_nufft(points, weights, block)
        e_x, e_y = self.factors(points, block)
        rank = weights.shape[1]
        right = (weights[:, :, None].astype(e_y.real.dtype) * e_y[:, None, :]).reshape(len(points), -1)
        return (e_x.T @ right).reshape(e_x.shape[1], rank, e_y.shape[1]).transpose(1, 0, 2)

    def _sum_nufft(self, points: npt.NDArray, weights: npt.NDArray, block: tuple[slice, slice]) -> npt.NDArray:
        import finufft

        n_x, n_y, _ = self.plane.grid.shape
        rows = np.arange(n_x)[block[0]] - self.plane.centre
        m_x, m_y = int(np.abs(rows).max()), self.plane.shape[1] - 1 if block[1].stop is None else block[1].stop - 1
        real = np.float32 if self.dtype == np.complex64 else np.float64
        x, y = (np.ascontiguousarray(2.0 * np.pi * self.fractional[points, i], dtype=real) for i in (0, 1))
        eps = 1e-6 if real is np.float32 else 1e-12
        strengths = np.ascontiguousarray(weights.T, dtype=self.dtype)
        modes = finufft.nufft2d1(x, y, strengths, (2 * m_x + 1, 2 * m_y + 1), eps=eps, isign=-1)
        modes = modes.reshape(len(strengths), 2 * m_x + 1, 2 * m_y + 1)
        if 2 * m_x == n_x:
            modes[:, 0] = 0.5 * (modes[:, 0] + modes[:, -1])
        half = modes[:, :, m_y:]
        if 2 * m_y == n_y:
            half[:, :, -1] = 0.5 * (half[:, :, -1] + modes[:, :, 0])
        return half[:, rows + m_x]


def _phases(x: npt.NDArray, h: npt.NDArray, n: int, dtype: np.dtype) -> npt.NDArray:
    phases = np.exp(-2j * np.pi * x[:, None] * h).astype(dtype)
    nyquist = 2 * np.abs(h) == n
    if nyquist.any():
        phases[:, nyquist] = np.cos(np.pi * n * x)[:, None]
    return phases
