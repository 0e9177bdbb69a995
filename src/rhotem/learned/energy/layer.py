"""One interaction layer of SevenNet-0 for a few atoms, forth and back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from rhotem.learned.dense import SILU, sigmoid
from rhotem.learned.energy import radial
from rhotem.learned.energy.kernels import gradients, messages
from rhotem.learned.energy.paths import FEATURES, FIRST, LAST, MIDDLE, STARTS, WIDTHS, convolution
from rhotem.learned.kernels.products import directions
from rhotem.learned.neighbours import Neighbours
from rhotem.learned.weights import Weights

#: Layers of SevenNet-0.
LAYERS = 5
#: Arrays by l = 0, 1, 2: (N, 2l+1, K).
Tensors = list[npt.NDArray]


@dataclass(frozen=True, eq=False)
class Edges:
    """All edges of a structure, ordered by atom.

    Parameters
    ----------
    starts : (N + 1,) int array
    source : (E,) int array
        The neighbours.
    vectors : (E, 3) array
        From the atom to the neighbour, Å.
    harmonics : (E, 9) array
    cells, places : (E,) arrays
        See `rhotem.learned.energy.radial.places`.
    """

    starts: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float64]
    harmonics: npt.NDArray
    cells: npt.NDArray[np.int64]
    places: npt.NDArray

    @classmethod
    def of(cls, neighbours: Neighbours, dtype: npt.DTypeLike) -> "Edges":
        """Edges of a structure; `InputError` if two atoms are closer than 0.5 Å."""
        starts, source, vectors = neighbours.around(np.arange(len(neighbours.positions)))
        places = radial.places(np.linalg.norm(vectors, axis=1), dtype)
        return cls(starts, source, vectors, directions(vectors, 2, dtype), *places)

    def of_atoms(self, atoms: slice) -> tuple[npt.NDArray, ...]:
        """What the kernels read of some atoms."""
        return self.starts[atoms.start : atoms.stop + 1], self.source, self.cells, self.places

    def inside(self, atoms: slice) -> slice:
        """Edges of some atoms."""
        return slice(int(self.starts[atoms.start]), int(self.starts[atoms.stop]))


class EnergyLayer:
    """A layer: linear, convolution over the edges, linear, self-connection, gate.

    Parameters
    ----------
    weights : Weights
    frequencies : (8,) array
        Of the Bessel functions, 1/Å.
    index : int
        0–4.
    """

    def __init__(self, weights: Weights, frequencies: npt.NDArray, index: int) -> None:
        self.kind = FIRST if index == 0 else LAST if index == LAYERS - 1 else MIDDLE
        self.convolution = convolution(self.kind)
        self.dtype = frequencies.dtype
        self.first, self.connect = (
            [m / self.dtype.type(math.sqrt(len(m))) for m in weights.part(name).listed] for name in ("first", "connect")
        )
        divisor = weights["denominator"]
        self.second = [m / (self.dtype.type(math.sqrt(len(m))) * divisor) for m in weights.part("second").listed]
        self.matrix = self.convolution.matrix.astype(self.dtype)
        self.frequencies, self.radial = frequencies, weights.part("radial").listed
        self.sent = WIDTHS[0] if self.kind == FIRST else FEATURES
        heights = [(2 * l + 1) * k for l, k in enumerate(self.convolution.summed)]
        #: numbers of an atom's sums by l3, of what is sent, of an edge's matrices, of a cell's coefficients
        rest = (self.sent, self.matrix.shape[1], (radial.DEGREE + 1) * self.convolution.weights)
        self.sizes = np.array([*heights, *([0] * (3 - len(heights))), *rest])

    @cached_property
    def table(self) -> npt.NDArray:
        """Polynomials of the radial weights."""
        return radial.table(self.radial, self.frequencies, self.dtype).ravel()

    def send(self, x: Tensors) -> npt.NDArray:
        """What neighbours read, flat."""
        out = np.empty((len(x[0]), self.sent), dtype=self.dtype)
        for l, w in enumerate(self.first):
            stop = STARTS[l] + (2 * l + 1) * len(w)
            out[:, STARTS[l] : stop] = (x[l].reshape(-1, len(w)) @ w).reshape(len(out), -1)
        return out.ravel()

    def before_gate(self, x: Tensors, sent: npt.NDArray, edges: Edges, atoms: slice) -> Tensors:
        """What the gates of some atoms are applied to, by l (n, 2l+1, K)."""
        n = atoms.stop - atoms.start
        matrices = (edges.harmonics[edges.inside(atoms)] @ self.matrix).ravel()
        out = np.empty(n * int(self.sizes[:3].sum()), dtype=self.dtype)
        messages(self.kind, edges.of_atoms(atoms), sent, self.table, matrices, self.sizes, out)
        y = [(s @ w).reshape(n, -1, w.shape[1]) for s, w in zip(self._by_l(out, n), self.second, strict=True)]
        for l, w in enumerate(self.connect):
            y[l] += (x[l][atoms].reshape(-1, len(w)) @ w).reshape(n, 2 * l + 1, -1)
        return y

    def back(
        self, to_y: Tensors, sent: npt.NDArray, edges: Edges, atoms: slice, into: tuple[npt.NDArray, npt.NDArray]
    ) -> Tensors:
        """The gradient by the features of some atoms themselves, from that by what their gates are applied to.

        ``into``: gradients by all that was sent, flat, and by all edges (E, 9), which are added to.
        """
        n = atoms.stop - atoms.start
        matrices = (edges.harmonics[edges.inside(atoms)] @ self.matrix).ravel()
        back = np.empty(n * int(self.sizes[:3].sum()), dtype=self.dtype)
        for part, d, w in zip(self._by_l(back, n), to_y, self.second, strict=True):
            np.matmul(d.reshape(-1, w.shape[1]), w.T, out=part)
        gradients(self.kind, edges.of_atoms(atoms), sent, self.table, matrices, self.sizes, back, *into)
        own = [to_y[l].reshape(-1, w.shape[1]) @ w.T for l, w in enumerate(self.connect)]
        return [o.reshape(n, 2 * l + 1, -1) for l, o in enumerate(own)]

    def back_sent(self, to_sent: npt.NDArray) -> Tensors:
        """The gradient by the features that made what was sent."""
        count, rows = len(to_sent) // self.sent, to_sent.reshape(-1, self.sent)
        result = []
        for l, w in enumerate(self.first):
            part = rows[:, STARTS[l] : STARTS[l] + (2 * l + 1) * len(w)]
            result.append((part.reshape(-1, len(w)) @ w.T).reshape(count, 2 * l + 1, -1))
        return result

    def _by_l(self, flat: npt.NDArray, atoms: int) -> list[npt.NDArray]:
        """Sums of some atoms by l3, (n·(2l3+1), C)."""
        stops = accumulate(atoms * int(k) for k in self.sizes[: len(self.convolution.summed)])
        edges = pairwise((0, *stops))
        return [flat[a:b].reshape(-1, k) for (a, b), k in zip(edges, self.convolution.summed, strict=True)]


def gated(y: Tensors) -> Tensors:
    """Features after the gate."""
    s = y[0].dtype.type(SILU) * y[0] * sigmoid(y[0])
    return [s[..., : WIDTHS[0]], *(t * s[..., a:b] for t, (a, b) in zip(y[1:], _gates(y), strict=True))]


def back_gated(y: Tensors, to_x: Sequence[npt.NDArray]) -> Tensors:
    """The gradient by what the gate is applied to, from that by what comes out."""
    s = sigmoid(y[0])
    slope, value = SILU * s * (1 + y[0] * (1 - s)), SILU * y[0] * s
    to_s, result = [to_x[0]], []
    for t, d, (a, b) in zip(y[1:], to_x[1:], _gates(y), strict=True):
        to_s.append((d * t).sum(1, keepdims=True))
        result.append(d * value[..., a:b])
    return [np.concatenate(to_s, axis=2) * slope, *result]


def _gates(y: Tensors) -> list[tuple[int, int]]:
    """Channels of the scalars that are gates of l = 1, 2."""
    return list(pairwise(accumulate(WIDTHS[: len(y)])))
