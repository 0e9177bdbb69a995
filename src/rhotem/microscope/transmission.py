"""What a slice does to the wave: exp(iσV), taken on the potential's own grid and cut off at the waves' band limit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from rhotem.microscope.optics import band_limit
from rhotem.microscope.scan import fourier_resample

#: Bytes of transmission functions held at a time on the grid of a finer potential: what stays in the cache from the
#: cosine to the last transform takes half the time.
FINE_BYTES = 4 * 1024**2


@dataclass(frozen=True)
class Passage(Sequence[npt.NDArray[Any] | None]):
    """What the slices of a specimen do to waves, in order.

    Parameters
    ----------
    acting : array
        Transmission functions of those that hold something.
    places : tuple of int
        For every slice its place among them; −1: an empty slice, which does nothing.
    """

    acting: npt.NDArray[Any]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, wanted: int) -> npt.NDArray[Any] | None: ...

    @overload
    def __getitem__(self, wanted: slice) -> "Passage": ...

    def __getitem__(self, wanted: int | slice) -> "npt.NDArray[Any] | Passage | None":
        if isinstance(wanted, slice):
            return Passage(self.acting, self.places[wanted])
        place = self.places[wanted]
        return None if place < 0 else self.acting[place]


def transmission(
    slices: npt.NDArray,
    grid: tuple[int, int],
    extent: tuple[float, float],
    interaction: float,
    threads: int,
    *,
    sampling: tuple[float, float] | None = None,
    packed: bool = False,
) -> npt.NDArray[Any]:
    """Band-limited transmission functions ``exp(iσV_s)`` of projected slices (S, nx, ny) in V·Å on ``grid``.

    Slices on a grid finer than that of the waves are exponentiated there and cut off at the waves' band limit: what
    a slice scatters to smaller angles by way of angles that the waves' grid does not carry is not lost.

    Parameters
    ----------
    slices : (S, nx, ny) array
    grid : (int, int)
        Of the waves.
    extent : (float, float)
        Å.
    interaction : float
        σ in rad/(V·Å).
    threads : int
    sampling : (float, float) or None
        Steps in Å whose band limit holds, of ``grid`` or coarser. None leaves the cutting off to whoever takes them
        (abTEM does it).
    packed : bool
        In the order of `rhotem.microscope.strips`, where that can do the grid.
    """
    import scipy.fft

    from rhotem.microscope.lanes import LANES
    from rhotem.microscope.strips import aligned, fits, pack

    indices = tuple(np.rint(np.fft.fftfreq(n) * n).astype(np.int64) for n in grid)
    gx, gy = indices[0] / extent[0], indices[1] / extent[1]
    limit: Any = np.float32(1)
    if sampling is not None:
        limit = band_limit(gx[:, None] ** 2 + gy[None] ** 2, sampling).astype(np.float32)
    packed = packed and fits(grid)
    strips = (len(slices), grid[1] // LANES, grid[0], 2, LANES)
    result: npt.NDArray[Any] = aligned(strips) if packed else np.empty((len(slices), *grid), dtype=np.complex64)
    size = max(1, FINE_BYTES // (8 * max(slices.shape[1] * slices.shape[2], grid[0] * grid[1])))
    for start in range(0, len(slices), size):
        block = slice(start, start + size)
        values = slices[block].astype(np.float32, copy=False)
        if slices.shape[1] < grid[0] or slices.shape[2] < grid[1]:
            values = fourier_resample(values, grid).astype(np.float32, copy=False)
        share = np.float32(grid[0] * grid[1] / (values.shape[1] * values.shape[2]))
        phase = np.float32(interaction) * values
        waves = np.empty(phase.shape, dtype=np.complex64)
        waves.real, waves.imag = np.cos(phase), np.sin(phase)  # four times faster than exp
        waves = scipy.fft.fft(waves, axis=2, overwrite_x=True, workers=threads)
        waves = scipy.fft.fft(waves[:, :, indices[1]], axis=1, overwrite_x=True, workers=threads)
        waves = waves[:, indices[0]]
        waves *= limit * share
        waves = scipy.fft.ifft2(waves, overwrite_x=True, workers=threads)
        if packed:
            pack(waves, result[block])
        else:
            result[block] = waves
    return result
