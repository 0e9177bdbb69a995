"""One interaction layer of SevenNet, ordered by atom.

With x the features of the structure and x' of its image under inversion, this works with their even and odd parts
(x ± (−1)^l x')/2, true tensors and pseudotensors. Every path of the convolution takes one of them to one of them, and
linear maps keep them apart; only gates mix them. Before the second layer there are no odd parts, and then a path is
evaluated once and not twice: the plain form evaluates structure and image always.

In single precision radial weights come from cubic splines (`SPACING`), else from the network itself.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from rhotem.learned.couplings import Path, coupling, part, size
from rhotem.learned.dense import SILU, silu
from rhotem.learned.encoders.nequip import NequipEncoder
from rhotem.learned.encoders.stage import States, Surroundings
from rhotem.learned.kernels.convolution import BEYOND, SPACING, convolve, spline_coefficients, spline_places
from rhotem.learned.kernels.products import directions
from rhotem.learned.neighbours import CLOSEST
from rhotem.learned.radial import end_function
from rhotem.learned.weights import Weights

#: Cutoff of the edges and start of their decay, Å.
CUTOFF, DECAY = 5.0, 4.5
#: Channels of l = 0, 1, …
CHANNELS: dict[str, tuple[int, ...]] = {"sevennet-0": (128, 64, 32), "sevennet-l3i5": (128, 64, 32, 32)}
#: Width of the radial networks.
WIDTH = 64
#: Rows that a linear map is applied to at once.
ROWS = 4096


class Pretrained(Protocol):
    """What a layer asks the encoder that it is part of; see `rhotem.learned.encoders.sevennet`."""

    body: Weights
    mean: npt.NDArray
    scale: npt.NDArray
    top: NequipEncoder
    pretrained: tuple[int, ...]
    layers: int
    every: bool
    dtype: np.dtype


def convolution_paths(before: Sequence[int], lmax: int) -> list[Path]:
    """Paths of one interaction from l1 <= len(before) − 1, in the order of the pretrained weights."""
    return [
        (l1, l2, l3)
        for l3 in range(lmax + 1)
        for l1 in range(len(before))
        for l2 in range(lmax + 1)
        if abs(l1 - l2) <= l3 <= l1 + l2
    ]


class _Group(NamedTuple):
    """Paths that start at one l1.

    ``paths`` (P,): their l3; ``matrix`` (lm2, …): harmonics @ matrix are, path by path, matrices [m3, m1]; ``weights``:
    columns of the radial network; ``places`` (P, copies, 3): where results go, made of blocks (n, 2l3+1, C) for every
    l3, even ones then odd ones: numbers of an atom in the blocks before, C, first channel.
    """

    paths: npt.NDArray[np.int64]
    matrix: npt.NDArray
    weights: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]


class InteractionStage:
    """One layer of SevenNet; see `rhotem.learned.encoders.stage.Stage`.

    States: "x", features (N, …), l by l [m, even and odd, K], without odd ones after the first layer; "scalars", of the
    trained layers; after the last layer instead of x "kept", the tensors that trained layers start from, or what those
    of the layers so far add up to ("given", up to the l of SevenNet).
    """

    def __init__(self, encoder: Pretrained, index: int) -> None:
        self.encoder, self.index, self.dtype = encoder, index, encoder.dtype
        w = encoder.body.part("layers", index)
        self.after = encoder.pretrained
        self.before = self.after[:1] if index == 0 else self.after
        self.last = index == encoder.layers - 1
        self.copies = 1 if index < 2 else 2
        self.paths = convolution_paths(self.before, len(self.after) - 1)
        self.widths = [self.before[p[0]] for p in self.paths]
        self.first, self.connect = (
            [m / self.dtype.type(math.sqrt(len(m))) for m in w.part(name).listed] for name in ("first", "connect")
        )
        w.check({"radial.2": (WIDTH, sum(self.widths))})
        self.radial, self.denominator = w.part("radial").listed, w["denominator"]
        self.sent = self.copies * _width(self.before)
        top = encoder.top
        channels, features = top.settings.channels, (1 + bool(index)) * _width(self.after)
        self.held = {"scalars": top.scalars, **({"kept": size(top.lmax) * channels} if self.last else {"x": features})}
        self.adds = encoder.every or self.last
        if self.adds and not self.last:
            self.held["given"] = size(len(self.after) - 1) * channels
        self.groups = [self._group(l1) for l1 in range(len(self.before))]
        self.matrix = np.concatenate([g.matrix for g in self.groups], axis=1)
        second = w.part("second").listed
        self.second = [self._second(second[block // 2], block) for block in range(2 * len(self.after))]

    def _group(self, l1: int) -> _Group:
        lmax = len(self.after) - 1
        blocks = self._channels()
        heights = np.repeat(2 * np.arange(lmax + 1) + 1, 2)
        before = np.concatenate([[0], np.cumsum(heights * [sum(b.values()) for b in blocks])])
        edges = np.concatenate([[0], np.cumsum(self.widths)])
        own = [(n, p) for n, p in enumerate(self.paths) if p[0] == l1]
        columns, places = [], []
        for n, (_, l2, l3) in own:
            table = coupling(*self.paths[n]).transpose(1, 2, 0)
            padded = np.zeros((size(lmax), table[0].size), dtype=self.dtype)
            padded[part(l2)] = table.reshape(len(table), -1)
            columns.append(padded)
            for copy in range(self.copies):
                block = 2 * l3 + (copy + l1 + l2 + l3) % 2
                earlier = sum(k for m, k in blocks[block].items() if m < n)
                places.append((before[block], sum(blocks[block].values()), earlier))
        return _Group(
            np.array([p[2] for _, p in own]),
            np.concatenate(columns, axis=1),
            np.concatenate([np.arange(edges[n], edges[n + 1]) for n, _ in own]),
            np.array(places).reshape(len(own), self.copies, 3),
        )

    def _channels(self) -> list[dict[int, int]]:
        """Paths that end in every block (l3, even or odd), with their channels."""
        blocks: list[dict[int, int]] = [{} for _ in range(2 * len(self.after))]
        for n, (path, channels) in enumerate(zip(self.paths, self.widths, strict=True)):
            for copy in range(self.copies):
                blocks[2 * path[2] + (copy + sum(path)) % 2][n] = channels
        return blocks

    def _second(self, matrix: npt.NDArray, block: int) -> npt.NDArray:
        """The second linear map, (C, …), for what ends in a block."""
        w = matrix / (self.dtype.type(math.sqrt(len(matrix))) * self.denominator)
        own = self._channels()[block]
        paths = [n for n, p in enumerate(self.paths) if p[2] == block // 2]
        pieces = np.split(w, np.cumsum([self.widths[n] for n in paths])[:-1])
        return np.concatenate([w[:0], *(piece for n, piece in zip(paths, pieces, strict=True) if n in own)])

    @cached_property
    def tables(self) -> list[npt.NDArray[np.float32]]:
        """Spline coefficients of the radial network, by l1; none in double precision."""
        if self.dtype != np.float32:
            return []
        count = round((CUTOFF - CLOSEST) / SPACING) + 2 * BEYOND + 1
        knots = (np.arange(count, dtype=np.float64) - BEYOND) * SPACING + CLOSEST
        coefficients = spline_coefficients(self.radial_weights(knots))
        return [np.ascontiguousarray(coefficients[:, g.weights], dtype=np.float32) for g in self.groups]

    def radial_weights(self, r: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The radial network in double precision, (E, paths·K), at distances r (E,) in Å."""
        waves = 2.0 / CUTOFF * np.sin(self.encoder.body["frequencies"].astype(float) * r[:, None]) / r[:, None]
        # the two published sets end their edges differently
        end = _decay(r) if len(self.after) == 3 else end_function(r / CUTOFF)
        x = waves * end[:, None]
        for n, w in enumerate(self.radial):
            x = (x if n == 0 else SILU * silu(x)) @ w.astype(float) / math.sqrt(len(w))
        return x

    def _on_edges(self, r: npt.NDArray[np.float64]) -> tuple[list[npt.NDArray], npt.NDArray[np.int64], npt.NDArray]:
        """Radial weights for `convolve`: tables by l1, rows and factors for every edge."""
        if self.tables:
            cells, factors = spline_places(r, CLOSEST - BEYOND * SPACING)
            return self.tables, cells, factors.astype(np.float32)
        weights = np.zeros((len(r) + 3, sum(self.widths)))
        weights[: len(r)] = self.radial_weights(r)
        alone = np.tile([1.0, 0.0, 0.0, 0.0], (len(r), 1))
        return [np.ascontiguousarray(weights[:, g.weights]) for g in self.groups], np.arange(len(r)), alone

    def send(self, before: States) -> npt.NDArray:
        """What neighbours read: the first linear map of the features."""
        result = np.empty((len(before["x"]), self.sent), dtype=self.dtype)
        for row in range(0, len(result), ROWS):
            x, out = before["x"][row : row + ROWS], result[row : row + ROWS]
            start = stop = 0
            for l, w in enumerate(self.first):
                many = self.copies * (2 * l + 1)
                piece = x[:, start : start + many * len(w)].reshape(-1, len(w))
                start += many * len(w)
                out[:, stop : stop + many * w.shape[1]] = (piece @ w).reshape(len(x), -1)
                stop += many * w.shape[1]
        return result

    def __call__(self, before: States, sent: npt.NDArray, around: Surroundings) -> States:
        """States of some atoms after the layer."""
        x = self.features(before, sent, around)
        states = {"scalars": before["scalars"][around.own] + self.trained_scalars(x[0][:, 0, 0])}
        if self.adds:
            known = before["given"][around.own] if "given" in before else None
            states["kept" if self.last else "given"] = self.trained_tensors(x, known)
        return states if self.last else {**states, "x": np.concatenate([t.reshape(len(t), -1) for t in x], axis=1)}

    def features(self, before: States, sent: npt.NDArray, around: Surroundings) -> list[npt.NDArray]:
        """By l (n, 2l+1, even and odd, K); no odd ones after the first layer."""
        return self._gated(self._summed(sent, around), before["x"][around.own])

    def _summed(self, sent: npt.NDArray, around: Surroundings) -> list[npt.NDArray]:
        """Summed messages after the second linear map: by l3 and even or odd, (n, 2l3+1, K)."""
        n = len(around.own)
        matrices = directions(around.vectors, len(self.after) - 1, self.dtype) @ self.matrix
        tables, cells, factors = self._on_edges(np.linalg.norm(around.vectors, axis=1))
        sizes = [n * (2 * (b // 2) + 1) * len(w) for b, w in enumerate(self.second)]
        out = np.empty(sum(sizes), dtype=self.dtype)
        at = column = 0
        for l1, group in enumerate(self.groups):
            edges = (around.starts, around.source, cells, factors)
            where = (l1, self.before[l1], column, at)
            convolve(edges, sent, tables[l1], matrices, where, group.paths, group.places, out)
            at += group.matrix.shape[1]
            column += (2 * l1 + 1) * self.copies * self.before[l1]
        blocks = np.split(out, np.cumsum(sizes)[:-1])
        return [
            (p.reshape(-1, len(w)) @ w).reshape(n, 2 * (b // 2) + 1, w.shape[1])
            if len(w)
            else np.zeros((n, 2 * (b // 2) + 1, w.shape[1]), dtype=self.dtype)
            for b, (p, w) in enumerate(zip(blocks, self.second, strict=True))
        ]

    def _gated(self, y: list[npt.NDArray], x: npt.NDArray) -> list[npt.NDArray]:
        """Self-connection and gate: by l (n, 2l+1, even and odd, K); no odd ones after the first layer."""
        start = 0
        for l, w in enumerate(self.connect):
            stop = start + (2 * l + 1) * self.copies * len(w)
            piece = (x[:, start:stop].reshape(-1, len(w)) @ w).reshape(len(x), 2 * l + 1, self.copies, -1)
            for copy in range(self.copies):
                y[2 * l + copy] += piece[:, :, copy]
            start = stop
        scale, half = self.dtype.type(SILU), self.dtype.type(0.5)
        widths = list(pairwise(accumulate(self.after)))
        if not self.index:
            s = scale * silu(y[0])
            result = [s[..., : self.after[0]], *(y[2 * l] * s[..., a:b] for l, (a, b) in enumerate(widths, start=1))]
            return [t[:, :, None] for t in result]
        one, other = scale * silu(y[0] + y[1]), scale * silu(y[0] - y[1])
        even, odd = half * (one + other), half * (one - other)
        result = [np.stack([even[..., : self.after[0]], odd[..., : self.after[0]]], axis=2)]
        for l, (a, b) in enumerate(widths, start=1):
            p, q, g, h = y[2 * l], y[2 * l + 1], even[..., a:b], odd[..., a:b]
            result.append(np.stack([p * g + q * h, p * h + q * g], axis=2))
        return result

    def trained_scalars(self, x: npt.NDArray) -> npt.NDArray:
        """What the scalars of this layer, standardised, add to those of the trained layers."""
        e, width = self.encoder, self.after[0]
        own = slice(self.index * width, (self.index + 1) * width)
        weight = e.top.weights["start.weight"][:, e.top.settings.embedding :][:, own]
        return ((x - e.mean[own]) / e.scale[own]) @ weight.T

    def trained_tensors(self, x: list[npt.NDArray], known: npt.NDArray | None) -> npt.NDArray:
        """The even tensors, standardised, in the channels of the trained layers, added to those of layers before."""
        e, lmax = self.encoder, self.encoder.top.lmax if self.last else len(self.after) - 1
        start = self.after[0] * e.layers
        result = np.zeros((len(x[0]), size(lmax), e.top.settings.channels), dtype=self.dtype)
        if known is not None:
            result[:, : known.shape[1]] = known
        for l, mix in enumerate(e.top.weights.part("given").listed, start=1):
            stop = start + (2 * l + 1) * len(mix)
            first = self.index * self.after[l] if e.every else 0
            own = slice(first, first + self.after[l])
            mean, scale = (t[start:stop].reshape(2 * l + 1, len(mix))[:, own] for t in (e.mean, e.scale))
            result[:, part(l)] += ((x[l][:, :, 0] - mean) / scale) @ mix[own]
            start = stop
        return result


class ScalarsStage:
    """A layer whose scalars are kept as they are, beside those of the layers before it: what novelty looks at."""

    def __init__(self, stage: InteractionStage, final: bool) -> None:
        self.stage, self.final, self.sent = stage, final, stage.sent
        features = (1 + bool(stage.index)) * _width(stage.after)
        kept: dict[str, int] = {"kept": 0} if final else {"x": features}
        self.held = {"scalars": (stage.index + 1) * stage.after[0], **kept}

    def send(self, before: States) -> npt.NDArray:
        """What neighbours read."""
        return self.stage.send(before)

    def __call__(self, before: States, sent: npt.NDArray, around: Surroundings) -> States:
        """States of some atoms after the layer."""
        x = self.stage.features(before, sent, around)
        scalars = x[0][:, 0, 0]
        if self.stage.index:
            scalars = np.concatenate([before["scalars"][around.own], scalars], axis=1)
        if self.final:
            return {"scalars": scalars, "kept": np.empty((len(scalars), 0), dtype=scalars.dtype)}
        return {"scalars": scalars, "x": np.concatenate([t.reshape(len(t), -1) for t in x], axis=1)}


def _width(channels: Sequence[int]) -> int:
    return sum((2 * l + 1) * k for l, k in enumerate(channels))


def _decay(r: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """XPLOR: 1 up to DECAY, then smoothly to 0 at CUTOFF."""
    a, b, c = np.minimum(r, CUTOFF) ** 2, DECAY**2, CUTOFF**2
    return np.where(r < DECAY, 1.0, (c - a) ** 2 * (c + 2 * a - 3 * b) / (c - b) ** 3)
