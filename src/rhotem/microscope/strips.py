r"""Transforms of sixteen columns or rows at a time, with what is done between them, in the level-1 cache.

A wave that is transformed as a whole goes through memory for every transform and every product. Columns do not mix
between the transform from coefficients to values along x, the slice, and the transform back, so a strip of columns
stays where it is for all three, and so do sixteen rows on their way along y. Vector instructions work on the columns of
a strip, all alike (`rhotem.microscope.lanes`).

The transforms are those of Cooley and Tukey (Math. Comput. 19, 297, 1965) in place: radices in falling order by
decimation in frequency, which leaves values in the order of reversed digits, and back by decimation in time, which
takes them in that order; nothing is sorted.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rhotem.core.compiled import compiled
from rhotem.microscope.lanes import LANES, ROW, clear, load, load_turned, save, save_turned, scale, stage

Complex = npt.NDArray[np.complex64]
#: Complex numbers in strips: (…, 2, lanes) of real and imaginary parts.
Packed = npt.NDArray[np.float32]

#: Radices in the order that they are tried.
RADICES = (4, 3, 5, 2)
#: Time of a stage per point, in units of that of a point of a fast row with FFTW, by the number of operations.
WORK = {2: 0.25, 3: 0.35, 4: 0.3, 5: 0.5}

_up_2, _up_3, _up_4, _up_5 = (stage(radix, 1, False) for radix in (2, 3, 4, 5))
_down_2, _down_3, _down_4, _down_5 = (stage(radix, -1, False) for radix in (2, 3, 4, 5))
_late_up_2, _late_up_3, _late_up_4, _late_up_5 = (stage(radix, 1, True) for radix in (2, 3, 4, 5))
_late_down_2, _late_down_3, _late_down_4, _late_down_5 = (stage(radix, -1, True) for radix in (2, 3, 4, 5))


@compiled(exact=True)
def _early(up: bool, strip: int, n: int, radices: npt.NDArray[np.int64], factors: int) -> None:
    """Transform a strip of ``n`` rows, with exp(+2πi…) if ``up``, into the order of reversed digits."""
    block = n
    for radix in radices:
        sub = block // radix
        step = sub * ROW
        for start in range(0, n, block):
            for j in range(sub):
                row, turn = strip + (start + j) * ROW, factors + 8 * (radix - 1) * j
                if radix == 4:
                    _up_4(row, step, turn) if up else _down_4(row, step, turn)
                elif radix == 2:
                    _up_2(row, step, turn) if up else _down_2(row, step, turn)
                elif radix == 3:
                    _up_3(row, step, turn) if up else _down_3(row, step, turn)
                else:
                    _up_5(row, step, turn) if up else _down_5(row, step, turn)
        factors += 8 * (radix - 1) * sub
        block = sub


@compiled(exact=True)
def _late(up: bool, strip: int, n: int, radices: npt.NDArray[np.int64], factors: int) -> None:
    """Transform a strip out of the order of reversed digits; ``radices`` are those of `_early` reversed."""
    sub = 1
    for radix in radices:
        block, step = sub * radix, sub * ROW
        for start in range(0, n, block):
            for j in range(sub):
                row, turn = strip + (start + j) * ROW, factors + 8 * (radix - 1) * j
                if radix == 4:
                    _late_up_4(row, step, turn) if up else _late_down_4(row, step, turn)
                elif radix == 2:
                    _late_up_2(row, step, turn) if up else _late_down_2(row, step, turn)
                elif radix == 3:
                    _late_up_3(row, step, turn) if up else _late_down_3(row, step, turn)
                else:
                    _late_up_5(row, step, turn) if up else _late_down_5(row, step, turn)
        factors += 8 * (radix - 1) * sub
        sub = block


@compiled(exact=True)
def _columns(
    waves: tuple[int, int],
    shape: tuple[int, int],
    half: int,
    packed: int,
    plans: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    factors: tuple[int, int],
    strip: int,
) -> None:
    """All waves (first address, number) through a slice."""
    nx, ny = shape
    for wave in range(waves[0], waves[0] + 8 * nx * ny * waves[1], 8 * nx * ny):
        here = packed
        for column in range(wave, wave + 8 * ny, 8 * LANES):
            for i in range(nx):
                if i <= half or i >= nx - half:
                    load(column + 8 * i * ny, strip + i * ROW)
                else:
                    clear(strip + i * ROW)
            _early(True, strip, nx, plans[0], factors[0])
            for i in range(nx):
                scale(strip + i * ROW, here + i * ROW)
            here += nx * ROW
            _late(False, strip, nx, plans[1], factors[1])
            for i in range(nx):
                if i <= half or i >= nx - half:
                    save(strip + i * ROW, column + 8 * i * ny)


@compiled(exact=True)
def _rows(
    waves: tuple[int, int],
    shape: tuple[int, int],
    places: npt.NDArray[np.int64],
    filters: int,
    plans: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    factors: tuple[int, int],
    strip: int,
) -> None:
    """Rows of all waves at ``places`` from a wave's address on, sixteen at a time, to the middle of the next slice."""
    nx, ny = shape
    for wave in range(waves[0], waves[0] + 8 * nx * ny * waves[1], 8 * nx * ny):
        here = filters
        for first in range(0, len(places), LANES):
            rows = places.ctypes.data + 8 * first
            for column in range(0, ny, LANES):
                load_turned(wave + 8 * column, rows, strip + column * ROW)
            _early(False, strip, ny, plans[0], factors[0])
            for j in range(ny):
                scale(strip + j * ROW, here + j * ROW)
            here += ny * ROW
            _late(True, strip, ny, plans[1], factors[1])
            for column in range(0, ny, LANES):
                save_turned(wave + 8 * column, rows, strip + column * ROW)


def radices_of(length: int) -> list[int] | None:
    """Radices whose product is ``length``, or None if it has other prime factors than 2, 3 and 5."""
    found = []
    for radix in RADICES:
        while length % radix == 0:
            length //= radix
            found.append(radix)
    return found if length == 1 else None


def aligned(shape: tuple[int, ...]) -> Packed:
    """Room for numbers in the order of strips, on whole cache lines."""
    size = int(np.prod(shape))
    room = np.empty(size + LANES, dtype=np.float32)
    start = -(room.ctypes.data // 4) % LANES
    return room[start : start + size].reshape(shape)


def pack(slices: Complex, out: Packed) -> None:
    """Slices (S, nx, ny) into ``out`` (S, strips, nx, 2, lanes) in the order that `Strips.through` takes them."""
    number, nx, ny = slices.shape
    turned = slices[:, _Line(nx, 1).order].reshape(number, nx, ny // LANES, LANES).transpose(0, 2, 1, 3)
    out[..., 0, :], out[..., 1, :] = turned.real, turned.imag


def work(length: int) -> float:
    """Time of a point of a transform of ``length``, in units of that of a point of a fast row with FFTW."""
    radices = radices_of(length)
    return float("inf") if radices is None else sum(WORK[radix] for radix in radices)


def fits(shape: tuple[int, int]) -> bool:
    """Whether strips can do a grid."""
    return shape[1] % LANES == 0 and all(radices_of(n) is not None for n in shape)


class _Line:
    """Transforms of one length, into the order of reversed digits and back."""

    def __init__(self, length: int, sign: int) -> None:
        radices = radices_of(length)
        if radices is None:
            raise ValueError(f"length {length}: expected factors 2, 3 and 5")
        self.plans = (np.array(radices, dtype=np.int64), np.array(radices[::-1], dtype=np.int64))
        self.order = np.zeros(length, dtype=np.int64)
        turns, block = [], length
        for radix in radices:
            sub = block // radix
            self.order += length // block * (np.arange(length) % block // sub)
            turns.append(np.exp(sign * 2j * np.pi * np.arange(sub)[:, None] * np.arange(1, radix) / block).ravel())
            block = sub
        self._early = np.concatenate(turns).astype(np.complex64)
        self._late = np.concatenate(turns[::-1]).conj().astype(np.complex64)
        #: Addresses of the factors between stages.
        self.factors = (self._early.ctypes.data, self._late.ctypes.data)


class Strips:
    """What is done to waves of one shape between coefficients, strip by strip; one thread's.

    Parameters
    ----------
    waves : (n, nx, ny) array
        Coefficients along x, of a grid that `fits`; changed in place.
    half : int
        Largest index along x of coefficients; others are zero before and dropped after.
    """

    def __init__(self, waves: Complex, half: int) -> None:
        self.shape = shape = (waves.shape[1], waves.shape[2])
        if not fits(shape) or not waves.flags.c_contiguous:
            raise ValueError(f"shape {shape}: expected factors 2, 3 and 5, and {LANES} of them along y, contiguous")
        self.waves, self.half = waves, min(half, shape[0] // 2)
        self._across, self._along = _Line(shape[0], 1), _Line(shape[1], -1)
        there = [i for i in range(shape[0]) if i <= self.half or i >= shape[0] - self.half]
        there += there[-1:] * (-len(there) % LANES)  # the last strip does its last row several times, alike
        self._there = np.array(there)
        self._places = 8 * shape[1] * self._there
        room = np.empty(ROW * max(shape) + 64, dtype=np.uint8)
        self._room, self._strip = room, -(-room.ctypes.data // 64) * 64
        self._address = waves.ctypes.data

    def through(self, packed: Packed, number: int) -> None:
        """Send the first ``number`` waves, values along y, through a slice (`pack`)."""
        wanted = (self.shape[1] // LANES, self.shape[0], 2, LANES)
        if packed.shape != wanted or packed.dtype != np.float32 or not packed.flags.c_contiguous:
            raise ValueError(f"slice {packed.shape} of {packed.dtype}: expected what `pack` makes, {wanted} of float32")
        line, waves = self._across, (self._address, number)
        _columns(waves, self.shape, self.half, packed.ctypes.data, line.plans, line.factors, self._strip)

    def between(self, factor: Complex) -> Callable[[int], None]:
        """What transforms so many waves along y, multiplies their coefficients by ``factor``, and transforms back."""
        line, number = self._along, len(self._there) // LANES
        filters = aligned((number, self.shape[1], 2, LANES))
        turned = factor[self._there][:, line.order].reshape(number, LANES, -1).transpose(0, 2, 1)
        filters[:, :, 0], filters[:, :, 1] = turned.real, turned.imag

        def travel(number: int) -> None:
            data = ((self._address, number), self.shape, self._places, filters.ctypes.data)
            _rows(*data, line.plans, line.factors, self._strip)

        return travel
