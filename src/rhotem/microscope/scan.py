"""Probe positions, and what may be done with the images exactly because they are band-limited and periodic."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.grid import smooth_length
from rhotem.microscope.instrument import Microscope


@dataclass(frozen=True)
class Scan:
    """Regular probe positions over a rectangle, end points excluded.

    Parameters
    ----------
    shape : (int, int)
        Number of positions along x and y.
    size : (float, float)
        Size of the rectangle in Å.
    origin : (float, float)
        First position in Å.
    periodic : bool
        The rectangle is the whole periodic cell, so images continue periodically.
    """

    shape: tuple[int, int]
    size: tuple[float, float]
    origin: tuple[float, float] = (0.0, 0.0)
    periodic: bool = True

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or min(self.size) <= 0:
            raise InputError(f"scan: {self.shape} positions over {self.size} Å; both must be positive")

    @property
    def step(self) -> tuple[float, float]:
        """Distance of neighbouring positions in Å."""
        return self.size[0] / self.shape[0], self.size[1] / self.shape[1]

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """All positions in Å, (nx·ny, 2), y fastest."""
        x, y = (o + s * np.arange(n) for o, s, n in zip(self.origin, self.step, self.shape, strict=True))
        return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)

    @classmethod
    def cell(cls, extent: tuple[float, float], microscope: Microscope) -> "Scan":
        """Scan of a whole periodic cell with the fewest positions that lose nothing.

        An image of a probe with aperture α has no Fourier component beyond 2α/λ, so steps below λ/4α determine it
        everywhere.
        """
        step = nyquist_step(microscope)
        shape = tuple(smooth_length(int(np.floor(length / step)) + 1) for length in extent)
        return cls((shape[0], shape[1]), (float(extent[0]), float(extent[1])))

    @classmethod
    def region(
        cls, start: tuple[float, float], end: tuple[float, float], step: float, extent: tuple[float, float]
    ) -> "Scan":
        """Scan of the rectangle from ``start`` to ``end`` (Å) with steps not above ``step`` inside a cell."""
        size = (end[0] - start[0], end[1] - start[1])
        if min(size) <= 0 or step <= 0:
            raise InputError(
                f"scan: start {start}, end {end}, step {step}; end must be beyond start and the step positive"
            )
        whole = start == (0.0, 0.0) and np.allclose(end, extent)
        shape = (max(1, int(np.ceil(size[0] / step - 1e-9))), max(1, int(np.ceil(size[1] / step - 1e-9))))
        return cls(shape, size, start, bool(whole))


def nyquist_step(microscope: Microscope) -> float:
    """Largest scan step in Å that determines an image: λ/4α."""
    return microscope.wavelength / (4e-3 * microscope.convergence)


def determines(scan: Scan, microscope: Microscope) -> bool:
    """Whether the image is known between the positions of a scan: its steps are not above `nyquist_step`."""
    return max(scan.step) <= nyquist_step(microscope) * (1 + 1e-6)


def fourier_resample(image: npt.NDArray, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Values of a periodic band-limited image (..., nx, ny) on another number of points, exactly."""
    return _on_line(_on_line(image, shape[0], -2), shape[1], -1)


def _on_line(values: npt.NDArray, number: int, axis: int) -> npt.NDArray:
    """The same along one axis: `scipy.signal.resample` of real numbers, whose import alone takes half a second."""
    import scipy.fft

    there = values.shape[axis]
    waves = np.moveaxis(scipy.fft.rfft(values, axis=axis), axis, -1)[..., : min(number, there) // 2 + 1]
    if min(number, there) % 2 == 0 and number != there:  # a coefficient that is a pair's on one side only
        waves[..., -1] *= 2 if number < there else 0.5
    return np.asarray(np.moveaxis(scipy.fft.irfft(waves * (number / there), n=number), -1, axis))


def translation_average(
    image: npt.NDArray, shifts: npt.NDArray[np.float64], extent: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Mean of a periodic image over translations ``shifts`` (n, 2) in Å, by exact Fourier phases.

    Averaging over lattice translations of the projected crystal turns every cell of a frozen-phonon image into a
    further sample of the thermal motion.
    """
    qx, qy = (np.rint(np.fft.fftfreq(n) * n) / length for n, length in zip(image.shape[-2:], extent, strict=True))
    phase = np.zeros(image.shape[-2:], dtype=complex)
    for x, y in np.atleast_2d(shifts):
        phase += np.exp(-2j * np.pi * (qx[:, None] * x + qy[None] * y))
    return np.fft.ifft2(np.fft.fft2(image) * phase / len(np.atleast_2d(shifts))).real
