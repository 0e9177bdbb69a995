"""Periodic grids on cells of any shape."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rhotem.core.errors import InputError

#: Largest prime factor of an FFT-friendly length.
SMOOTH = 7


def is_rectangular(cell: npt.NDArray[np.float64]) -> bool:
    """Whether lattice vectors (rows, Å) lie along x, y, z within 1e-6 Å."""
    return bool(np.allclose(cell, np.diag(np.diag(cell)), rtol=0, atol=1e-6))


@dataclass(frozen=True, eq=False)
class PeriodicGrid:
    """A grid of points filling a periodic cell, endpoint excluded (docs/conventions.md).

    Parameters
    ----------
    cell : (3, 3) array
        Lattice vectors in Å, one per row; right-handed or not, but not flat.
    shape : tuple of three int
        Number of points along each lattice vector.

    Raises
    ------
    InputError
        If the cell has no volume or the shape is not three positive integers.
    """

    cell: npt.NDArray[np.float64]
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        cell = np.array(self.cell, dtype=float)
        shape = tuple(int(n) for n in self.shape)
        if cell.shape != (3, 3) or not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-6:
            raise InputError(f"grid: the cell {cell.tolist()} has no volume; give three independent vectors")
        if len(shape) != 3 or min(shape) < 1:
            raise InputError(f"grid: shape {self.shape} is not three positive integers")
        cell.setflags(write=False)
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def from_spacing(
        cls,
        cell: npt.ArrayLike,
        spacing: float,
        divisors: tuple[int, int, int] = (1, 1, 1),
    ) -> "PeriodicGrid":
        """Coarsest FFT-friendly grid with no lattice step above ``spacing`` (Å), shape divisible by ``divisors``."""
        if not spacing > 0:
            raise InputError(f"grid spacing must be positive, got {spacing}")
        lengths = np.linalg.norm(np.asarray(cell, dtype=float), axis=1)
        n1, n2, n3 = (
            smooth_length(int(np.ceil(length / spacing - 1e-9)), d) for length, d in zip(lengths, divisors, strict=True)
        )
        return cls(np.asarray(cell, dtype=float), (n1, n2, n3))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PeriodicGrid):
            return NotImplemented
        return self.shape == other.shape and np.allclose(self.cell, other.cell, rtol=0, atol=1e-8)

    def __hash__(self) -> int:
        # Equality tolerates rounding of the cell, so only the shape may enter.
        return hash(self.shape)

    @property
    def size(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape))

    @cached_property
    def volume(self) -> float:
        """Cell volume in Å³."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def voxel_volume(self) -> float:
        """Volume per point in Å³."""
        return self.volume / self.size

    @cached_property
    def spacing(self) -> npt.NDArray[np.float64]:
        """Steps along the three lattice vectors in Å."""
        steps: npt.NDArray[np.float64] = np.linalg.norm(self.cell, axis=1).astype(np.float64)
        return steps / np.array(self.shape)

    @cached_property
    def reciprocal(self) -> npt.NDArray[np.float64]:
        """Reciprocal lattice vectors in 1/Å, one per row, without 2π."""
        inverse: npt.NDArray[np.float64] = np.linalg.inv(self.cell).astype(np.float64)
        return inverse.T

    def indices(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Integer Fourier indices h along each axis, in ``numpy.fft`` order."""
        h, k, m = (np.rint(np.fft.fftfreq(n) * n).astype(np.int64) for n in self.shape)
        return h, k, m

    def g_squared(self) -> npt.NDArray[np.float64]:
        """|g|² in 1/Å² of every Fourier coefficient, ``numpy.fft`` order; shape of the grid."""
        metric = self.reciprocal @ self.reciprocal.T
        h, k, m = (x.astype(float) for x in self.indices())
        h, k, m = h[:, None, None], k[None, :, None], m[None, None, :]
        return (
            metric[0, 0] * h * h
            + metric[1, 1] * k * k
            + metric[2, 2] * m * m
            + 2 * (metric[0, 1] * h * k + metric[0, 2] * h * m + metric[1, 2] * k * m)
        )

    def points(self) -> npt.NDArray[np.float64]:
        """Cartesian positions in Å of all points; shape ``(*shape, 3)``."""
        a, b, c = (np.arange(n)[:, None] / n * v for n, v in zip(self.shape, self.cell, strict=True))
        return a[:, None, None] + b[None, :, None] + c[None, None, :]

    def fourier(self, values: npt.NDArray) -> npt.NDArray[np.complex128]:
        """Fourier coefficients of ``values`` (docs/conventions.md): ``fftn(values)/N``."""
        return np.fft.fftn(values) / self.size

    def inverse_fourier(self, coefficients: npt.NDArray) -> npt.NDArray[np.float64]:
        """Real function on the grid with the given Fourier coefficients."""
        return (np.fft.ifftn(coefficients) * self.size).real

    def integrate(self, values: npt.NDArray) -> float:
        """Integral of ``values`` over the cell."""
        return float(values.sum(dtype=np.float64) * self.voxel_volume)


def reflections(cell: npt.NDArray, g_max: float) -> npt.NDArray[np.int64]:
    """Miller indices (M, 3) with 0 < |g| <= ``g_max`` (1/Å) of a cell (rows, Å), one of each pair ±h, by |g|.

    Raises
    ------
    InputError
        If ``g_max`` is not positive.
    """
    if not g_max > 0:
        raise InputError(f"largest |g| is {g_max} 1/Å; choose a positive number")
    half = np.floor(g_max * np.linalg.norm(cell, axis=1) + 1e-9).astype(int)
    h = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in half], indexing="ij"), axis=-1).reshape(-1, 3)
    # First non-zero index positive: h and −h are conjugate.
    sign = np.where(h[:, 0] != 0, h[:, 0], np.where(h[:, 1] != 0, h[:, 1], h[:, 2]))
    h = h[sign > 0]
    g = np.linalg.norm(h @ np.linalg.inv(cell).T, axis=1)
    order = np.argsort(np.round(g, 9), kind="stable")
    return h[order][g[order] <= g_max + 1e-9]


def smooth_length(minimum: int, divisor: int = 1) -> int:
    """Smallest multiple of ``divisor`` >= ``minimum`` whose cofactor has no prime above 7.

    FFTs of such lengths are fast; 163 · 2 against 324 costs a factor of four.
    """
    n = max(1, -(-minimum // divisor))
    while not _is_smooth(n):
        n += 1
    return n * divisor


def _is_smooth(n: int) -> bool:
    for p in range(2, SMOOTH + 1):
        while n % p == 0:
            n //= p
    return n == 1
