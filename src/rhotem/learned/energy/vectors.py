"""One edge of SevenNet-0's convolutions, and its gradient, as vector instructions.

Written for LLVM directly: loops over 32 to 128 channels inside sums over components are short for its own
vectorisation, which cannot know that arrays do not overlap. `LANES` numbers make a vector; LLVM divides it as the
processor needs. Components that a coupling does not connect are left out.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rhotem.learned.energy.paths import STARTS, WIDTHS, Step, convolution
from rhotem.learned.energy.radial import DEGREE

#: Numbers in a vector.
LANES = 8
#: Vectors that `gradient_of_edge` adds to: derivative by the length, then by harmonics l² + l + m.
SUMS = 9
_LOOSE = ("contract", "reassoc", "nsz", "arcp")


class _Emitter:
    """Vector instructions on flat arrays of one kind of number."""

    def __init__(self, context: Any, builder: ir.IRBuilder, number: Any) -> None:
        self.context, self.builder = context, builder
        self.number = context.get_value_type(number)
        self.vector = ir.VectorType(self.number, LANES)

    def base(self, kind: Any, array: Any, offset: Any = None) -> Any:
        """Pointer to a number of a flat array."""
        data = self.context.make_array(kind)(self.context, self.builder, array).data
        return data if offset is None else self.builder.gep(data, [offset])

    def at(self, base: Any, static: int, index: Any = None) -> Any:
        """Pointer ``static`` + ``index`` numbers further."""
        b = self.builder
        moved = b.gep(base, [ir.Constant(ir.IntType(64), static)]) if static else base
        return b.gep(moved, [index]) if index is not None else moved

    def load(self, base: Any, static: int, index: Any) -> Any:
        """A vector."""
        pointer = self.builder.bitcast(self.at(base, static, index), self.vector.as_pointer())
        return self.builder.load(pointer, align=self.number_bytes)

    def store(self, value: Any, base: Any, static: int, index: Any) -> None:
        """Write a vector."""
        pointer = self.builder.bitcast(self.at(base, static, index), self.vector.as_pointer())
        self.builder.store(value, pointer, align=self.number_bytes)

    def spread(self, base: Any, static: int) -> Any:
        """One number in every lane."""
        return self.in_lanes(self.builder.load(self.at(base, static), align=self.number_bytes))

    def constant(self, value: float) -> Any:
        """A known number in every lane."""
        return ir.Constant(self.vector, [value] * LANES)

    def product(self, a: Any, b: Any) -> Any:
        """A·b."""
        return self.builder.fmul(a, b, flags=_LOOSE)

    def add(self, total: Any, a: Any, b: Any) -> Any:
        """Total + a·b, or a·b where there is no total yet."""
        product = self.product(a, b)
        return product if total is None else self.builder.fadd(total, product, flags=_LOOSE)

    def channels(self, count: int) -> Any:
        """A loop over vectors of channels; yields the first channel."""
        return _channels(self.builder, count)

    @property
    def number_bytes(self) -> int:
        """Bytes of a number, to which pointers are aligned."""
        return 4 if isinstance(self.number, ir.FloatType) else 8

    def in_lanes(self, value: Any) -> Any:
        """A number in every lane."""
        b = self.builder
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = b.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return b.shuffle_vector(first, undefined, zeros)


class _channels:
    """``with _channels(builder, count) as k``: a loop in steps of `LANES`."""

    def __init__(self, builder: ir.IRBuilder, count: int) -> None:
        self.loop = cgutils.for_range(builder, ir.Constant(ir.IntType(64), count // LANES))
        self.builder = builder

    def __enter__(self) -> Any:
        index = self.loop.__enter__().index
        return self.builder.mul(index, ir.Constant(ir.IntType(64), LANES))

    def __exit__(self, *error: Any) -> None:
        self.loop.__exit__(*error)


class _Polynomial:
    """Radial weights of an edge, by Horner's rule."""

    def __init__(self, e: _Emitter, kind: Any, radial: Any, which: int) -> None:
        table, start, place = (e.builder.extract_value(radial, n) for n in range(3))
        self.e, self.base = e, e.base(kind.types[0], table, start)
        self.place, self.weights = e.in_lanes(place), convolution(which).weights

    def value(self, first: int, index: Any) -> Any:
        """A vector of weights."""
        value = self._coefficient(DEGREE, first, index)
        for power in range(DEGREE - 1, -1, -1):
            value = self.e.add(self._coefficient(power, first, index), value, self.place)
        return value

    def value_and_slope(self, first: int, index: Any) -> tuple[Any, Any]:
        """A vector of weights, and its derivative by the place in the cell."""
        value, slope = self._coefficient(DEGREE, first, index), None
        for power in range(DEGREE - 1, -1, -1):
            slope = value if slope is None else self.e.add(value, slope, self.place)
            value = self.e.add(self._coefficient(power, first, index), value, self.place)
        return value, slope

    def _coefficient(self, power: int, first: int, index: Any) -> Any:
        return self.e.load(self.base, power * self.weights + first, index)


def _by_l1(kind: int) -> Iterator[tuple[int, list[Step]]]:
    steps = convolution(kind).steps
    for l1 in sorted({step.l1 for step in steps}):
        yield l1, [step for step in steps if step.l1 == l1]


def _connected(step: Step) -> np.ndarray:
    """Whether [m3, m1] is ever other than zero."""
    return np.asarray((np.abs(step.couplings) > 1e-12).any(axis=1)).T


def _row(step: Step, kind: int, m3: int) -> int:
    """First number of a component among those summed to its l3."""
    return m3 * convolution(kind).summed[step.l3] + step.first


@intrinsic(prefer_literal=True)
def message_of_edge(typingctx, kind, sent, row, radial, matrices, edge, out, places):  # type: ignore[no-untyped-def]
    """Add the message of an edge to the sums of its atom.

    ``kind``: literal; ``sent``: flat, the neighbour's features start at ``row``; ``radial``: coefficients of the radial
    weights, flat, where those of the edge start, and where in its cell the edge is, −1 to 1; ``matrices``: flat, those
    of the edge start at ``edge``; ``out``: flat, sums of l3 start at ``places[l3]``.
    """
    which = kind.literal_value
    signature = types.void(kind, sent, row, radial, matrices, edge, out, places)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        e = _Emitter(context, builder, sig.args[1].dtype)
        h_base, c_base = e.base(sig.args[1], args[1], args[2]), e.base(sig.args[4], args[4], args[5])
        polynomial = _Polynomial(e, sig.args[3], args[3], which)
        outs = [e.base(sig.args[6], args[6], builder.extract_value(args[7], l)) for l in range(3)]
        for l1, steps in _by_l1(which):
            with e.channels(WIDTHS[l1]) as k:
                h = [e.load(h_base, STARTS[l1] + m1 * WIDTHS[l1], k) for m1 in range(2 * l1 + 1)]
                for step in steps:
                    w, connected = polynomial.value(step.weights, k), _connected(step)
                    for m3 in range(2 * step.l3 + 1):
                        total = None
                        for m1 in np.flatnonzero(connected[m3]):
                            c = e.spread(c_base, step.matrix + m3 * (2 * l1 + 1) + int(m1))
                            total = e.add(total, c, h[m1])
                        place = _row(step, which, m3)
                        e.store(e.add(e.load(outs[step.l3], place, k), w, total), outs[step.l3], place, k)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def gradient_of_edge(  # type: ignore[no-untyped-def]
    typingctx, kind, sent, row, radial, matrices, edge, back, places, sums, to_sent
):
    """Gradient by what an edge carries, from the gradient ``back`` by the sums of its atom.

    Arguments as of `message_of_edge`; ``sums``: flat, `SUMS` vectors added to: derivatives by the place in the cell and
    by harmonics; ``to_sent``: flat, added to at ``row`` (not for the first kind).
    """
    which = kind.literal_value
    signature = types.void(kind, sent, row, radial, matrices, edge, back, places, sums, to_sent)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        e = _Emitter(context, builder, sig.args[1].dtype)
        h_base, c_base = e.base(sig.args[1], args[1], args[2]), e.base(sig.args[4], args[4], args[5])
        polynomial = _Polynomial(e, sig.args[3], args[3], which)
        backs = [e.base(sig.args[6], args[6], builder.extract_value(args[7], l)) for l in range(3)]
        s_base, t_base = e.base(sig.args[8], args[8]), e.base(sig.args[9], args[9], args[2])
        kept = [cgutils.alloca_once(builder, e.vector) for _ in range(SUMS)]
        for n, place in enumerate(kept):
            builder.store(e.load(s_base, n * LANES, None), place)
        for l1, steps in _by_l1(which):
            with e.channels(WIDTHS[l1]) as k:
                h = [e.load(h_base, STARTS[l1] + m1 * WIDTHS[l1], k) for m1 in range(2 * l1 + 1)]
                to_h: list[Any] = [None] * len(h)
                for step in steps:
                    w, slope = polynomial.value_and_slope(step.weights, k)
                    d = [e.load(backs[step.l3], _row(step, which, m3), k) for m3 in range(2 * step.l3 + 1)]
                    g = _to_weighted(e, step, c_base, d)
                    along = None
                    for m1, value in enumerate(g):
                        if value is not None:
                            to_h[m1] = e.add(to_h[m1], w, value)
                            along = e.add(along, h[m1], value)
                    _count(e, kept[0], slope, along)
                    for m2, value in enumerate(_to_harmonics(e, step, h, d)):
                        if step.l2 and value is not None:
                            _count(e, kept[step.l2**2 + m2], w, value)
                if which:
                    for m1, value in enumerate(to_h):
                        place = STARTS[l1] + m1 * WIDTHS[l1]
                        e.store(builder.fadd(e.load(t_base, place, k), value, flags=_LOOSE), t_base, place, k)
        for n, place in enumerate(kept):
            e.store(builder.load(place), s_base, n * LANES, None)
        return context.get_dummy_value()

    return signature, generate


def _count(e: _Emitter, place: Any, a: Any, b: Any) -> None:
    e.builder.store(e.add(e.builder.load(place), a, b), place)


def _to_weighted(e: _Emitter, step: Step, c_base: Any, d: list[Any]) -> list[Any]:
    """Σ_m3 matrix[m3, m1] d[m3], by m1."""
    connected, rows = _connected(step), 2 * step.l1 + 1
    result: list[Any] = [None] * rows
    for m3, m1 in np.argwhere(connected):
        result[m1] = e.add(result[m1], e.spread(c_base, step.matrix + int(m3) * rows + int(m1)), d[m3])
    return result


def _to_harmonics(e: _Emitter, step: Step, h: list[Any], d: list[Any]) -> list[Any]:
    """Σ_m1,m3 coupling h[m1] d[m3], by m2."""
    result: list[Any] = [None] * (2 * step.l2 + 1)
    if not step.l2:
        return result
    for m3, m1 in np.argwhere(_connected(step)):
        both = e.product(h[m1], d[m3])
        for m2 in np.flatnonzero(np.abs(step.couplings[m1, :, m3]) > 1e-12):
            value = float(step.couplings[m1, m2, m3])
            result[m2] = e.add(result[m2], e.constant(value), both)
    return result
