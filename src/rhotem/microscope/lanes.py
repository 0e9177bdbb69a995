"""What is done to a row of a strip of a wave (`rhotem.microscope.strips`), in vector instructions, by llvmlite.

A row is sixteen real parts and sixteen imaginary parts, on a cache line each. Compilers do not find such instructions
in loops over rows at distances that are not known beforehand. Numba caches what it compiles by the file of the caller:
whoever changes this one touches that one, too.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

#: Functions to call from compiled ones, with addresses.
_intrinsic: Callable[..., Any] = intrinsic

#: Columns of a strip: floats of the widest vector register.
LANES = 16
#: Bytes of a row of a strip: real parts, imaginary parts.
ROW = 8 * LANES

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_WIDE = ir.VectorType(ir.FloatType(), 2 * LANES)
_FAST = ("contract",)
#: Real and imaginary parts in turn, from a vector of either.
_TOGETHER = [n // 2 + LANES * (n % 2) for n in range(2 * LANES)]


class _Values:
    """Complex numbers of one row of a strip, in registers."""

    def __init__(self, builder: Any, re: Any, im: Any) -> None:
        self.builder, self.re, self.im = builder, re, im

    def __add__(self, other: "_Values") -> "_Values":
        add = self.builder.fadd
        return _Values(self.builder, add(self.re, other.re, flags=_FAST), add(self.im, other.im, flags=_FAST))

    def __sub__(self, other: "_Values") -> "_Values":
        sub = self.builder.fsub
        return _Values(self.builder, sub(self.re, other.re, flags=_FAST), sub(self.im, other.im, flags=_FAST))

    def __mul__(self, other: "_Values") -> "_Values":
        b = self.builder
        re = b.fsub(b.fmul(self.re, other.re, flags=_FAST), b.fmul(self.im, other.im, flags=_FAST), flags=_FAST)
        im = b.fadd(b.fmul(self.re, other.im, flags=_FAST), b.fmul(self.im, other.re, flags=_FAST), flags=_FAST)
        return _Values(b, re, im)

    def times(self, factor: float) -> "_Values":
        """With a real number."""
        b, constant = self.builder, ir.Constant(_VECTOR, [factor] * LANES)
        return _Values(b, b.fmul(self.re, constant, flags=_FAST), b.fmul(self.im, constant, flags=_FAST))

    def turned(self, sign: int) -> "_Values":
        """With i (sign 1) or −i."""
        minus = self.builder.fneg
        return _Values(self.builder, *((minus(self.im), self.re) if sign > 0 else (self.im, minus(self.re))))


def _pointer(builder: Any, address: Any, offset: int, kind: Any) -> Any:
    moved = builder.add(address, ir.Constant(address.type, offset)) if offset else address
    return builder.inttoptr(moved, kind.as_pointer())


def _loaded(builder: Any, address: Any) -> _Values:
    """A row of a strip."""
    parts = (builder.load(_pointer(builder, address, offset, _VECTOR), align=64) for offset in (0, ROW // 2))
    return _Values(builder, *parts)


def _store(builder: Any, address: Any, values: _Values) -> None:
    for part, offset in ((values.re, 0), (values.im, ROW // 2)):
        builder.store(part, _pointer(builder, address, offset, _VECTOR), align=64)


def _shuffled(builder: Any, first: Any, second: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
    return builder.shuffle_vector(first, second, mask)


def _interleaved(builder: Any, address: Any) -> _Values:
    """Sixteen complex64 numbers in memory."""
    wide = builder.load(_pointer(builder, address, 0, _WIDE), align=8)
    none = ir.Constant(_WIDE, ir.Undefined)
    parts = (_shuffled(builder, wide, none, list(range(start, 2 * LANES, 2))) for start in (0, 1))
    return _Values(builder, *parts)


def _spread(builder: Any, address: Any) -> _Values:
    """One complex64 number for all columns."""
    parts = []
    for offset in (0, 4):
        value = builder.load(_pointer(builder, address, offset, ir.FloatType()), align=4)
        one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        parts.append(_shuffled(builder, one, ir.Constant(_VECTOR, ir.Undefined), [0] * LANES))
    return _Values(builder, *parts)


def _butterfly(x: list[_Values], sign: int) -> list[_Values]:
    """``y_p = Σ_q x_q exp(sign 2πi pq/r)`` of r = 2, 3, 4 or 5 numbers."""
    if len(x) == 2:
        return [x[0] + x[1], x[0] - x[1]]
    if len(x) == 4:
        (a, b), (c, d) = (x[0] + x[2], x[0] - x[2]), (x[1] + x[3], (x[1] - x[3]).turned(sign))
        return [a + c, b + d, a - c, b - d]
    n, half = len(x), len(x) // 2
    sums = [x[q] + x[n - q] for q in range(1, half + 1)]
    apart = [(x[q] - x[n - q]).turned(sign) for q in range(1, half + 1)]
    result: list[Any] = [sum(sums, start=x[0])] + [None] * (n - 1)
    for p in range(1, half + 1):
        angles = [2 * np.pi * p * (q + 1) / n for q in range(half)]
        even = sum((s.times(float(np.cos(a))) for s, a in zip(sums, angles, strict=True)), start=x[0])
        first, *rest = (d.times(float(np.sin(a))) for d, a in zip(apart, angles, strict=True))
        odd = sum(rest, start=first)
        result[p], result[n - p] = even + odd, even - odd
    return result


def stage(radix: int, sign: int, late: bool) -> Callable[..., Any]:
    """A butterfly on rows at an address and steps from there; factors come after it, or before it (``late``)."""

    @_intrinsic
    def one(typingctx: Any, address: Any, step: Any, factors: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            base, stride, turns = args
            places = [base]
            for _ in range(1, radix):
                places.append(builder.add(places[-1], stride))
            values = [_loaded(builder, place) for place in places]
            twiddles = [_spread(builder, builder.add(turns, ir.Constant(turns.type, 8 * p))) for p in range(radix - 1)]
            if late:
                values = [values[0], *(v * t for v, t in zip(values[1:], twiddles, strict=True))]
            values = _butterfly(values, sign)
            if not late:
                values = [values[0], *(v * t for v, t in zip(values[1:], twiddles, strict=True))]
            for place, value in zip(places, values, strict=True):
                _store(builder, place, value)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), codegen

    return one


@_intrinsic
def load(typingctx: Any, source: Any, row: Any) -> Any:
    """Sixteen numbers of the wave into a row of the strip."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _store(builder, args[1], _interleaved(builder, args[0]))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@_intrinsic
def clear(typingctx: Any, row: Any) -> Any:
    """Zeros into a row of the strip."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(_VECTOR, [0.0] * LANES)
        _store(builder, args[0], _Values(builder, zero, zero))
        return context.get_dummy_value()

    return types.void(types.intp), codegen


@_intrinsic
def save(typingctx: Any, row: Any, target: Any) -> Any:
    """A row of the strip into the wave."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = _loaded(builder, args[0])
        wide = _shuffled(builder, values.re, values.im, _TOGETHER)
        builder.store(wide, _pointer(builder, args[1], 0, _WIDE), align=8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@_intrinsic
def load_turned(typingctx: Any, source: Any, rows: Any, strip: Any) -> Any:
    """Sixteen numbers of each of sixteen rows of the wave, at addresses in a table, turned into rows of the strip."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        places = [builder.add(args[0], _address(builder, args[1], n)) for n in range(LANES)]
        for offset, part in ((0, "re"), (ROW // 2, "im")):
            found = _turned(builder, [getattr(_interleaved(builder, place), part) for place in places])
            for n, value in enumerate(found):
                builder.store(value, _pointer(builder, args[2], n * ROW + offset, _VECTOR), align=64)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@_intrinsic
def save_turned(typingctx: Any, target: Any, rows: Any, strip: Any) -> Any:
    """The way back."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = []
        for offset in (0, ROW // 2):
            pointers = [_pointer(builder, args[2], n * ROW + offset, _VECTOR) for n in range(LANES)]
            parts.append(_turned(builder, [builder.load(pointer, align=64) for pointer in pointers]))
        for n, (re, im) in enumerate(zip(*parts, strict=True)):
            place = builder.add(args[0], _address(builder, args[1], n))
            wide = _shuffled(builder, re, im, _TOGETHER)
            builder.store(wide, _pointer(builder, place, 0, _WIDE), align=8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


def _address(builder: Any, table: Any, n: int) -> Any:
    return builder.load(_pointer(builder, table, 8 * n, ir.IntType(64)), align=8)


def _turned(builder: Any, rows: list[Any]) -> list[Any]:
    """Rows of sixteen vectors as columns: blocks swapped at distances 1, 2, 4 and 8."""
    for step in (1, 2, 4, 8):
        low = [n if not n & step else LANES + n - step for n in range(LANES)]
        high = [n + step if not n & step else LANES + n for n in range(LANES)]
        for n in range(LANES):
            if not n & step:
                pair = rows[n], rows[n + step]
                rows[n], rows[n + step] = (_shuffled(builder, *pair, places) for places in (low, high))
    return rows


@_intrinsic
def scale(typingctx: Any, row: Any, factors: Any) -> Any:
    """A row of the strip times one like it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _store(builder, args[0], _loaded(builder, args[0]) * _loaded(builder, args[1]))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen
