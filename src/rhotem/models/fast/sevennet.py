"""Layers of `rhotem.models.encoders.sevennet` for the fast encoder.

With x the features of the structure and x' of its image under inversion, this works with their even and odd parts
(x ± (−1)^l x')/2, true tensors and pseudotensors. Every path of the convolution takes one of them to one of them, and
linear maps keep them apart; only gates mix them. Before the second layer there are no odd parts, and then a path is
evaluated once and not twice: the plain form evaluates structure and image always.

In single precision radial weights come from cubic splines (`SPACING`), else from the network itself.
"""

import math
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from rhotem.models.encoders.sevennet import (
    BESSEL,
    CUTOFF,
    SILU,
    SPECIES,
    WIDTH,
    Pretrained,
    radial_functions,
    radial_network,
)
from rhotem.models.fast.convolution import BEYOND, SPACING, convolution_kernel, spline_coefficients, spline_places
from rhotem.models.fast.products import directions
from rhotem.models.fast.stage import States, Surroundings
from rhotem.models.graph import CLOSEST
from rhotem.models.tensor import part, size

#: Rows that a linear map is applied to at once.
ROWS = 4096


def pretrained_start(encoder: Pretrained, numbers: torch.Tensor, charge: float) -> States:
    """States before the first layer: features of SevenNet, and what its scalars add up to in the trained layers."""
    body, top = encoder.body, encoder.top
    x = body.embedding[body.species_of(numbers)] / math.sqrt(SPECIES)
    charges = torch.full((len(numbers), 1), charge, dtype=x.dtype)
    given = top.start.weight[:, : top.settings.embedding]
    return {"x": x, "scalars": top.embedding(numbers) @ given.T + top.start.bias + top.charge(charges)}


class _Group(NamedTuple):
    """Paths that start at one l1.

    ``paths`` (P,): their l3; ``matrix`` (lm2, …): harmonics @ matrix are, path by path, matrices [m3, m1]; ``weights``:
    columns of the radial network; ``places`` (P, copies, 3): where results go, made of blocks (n, 2l3+1, C) for every
    l3, even ones then odd ones: numbers of an atom in the blocks before, C, first channel.
    """

    paths: npt.NDArray[np.int64]
    matrix: torch.Tensor
    weights: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]


class SevenNetStage:
    """One layer of SevenNet; see `rhotem.models.fast.stage.Stage`.

    States: "x", features (N, …), l by l [m, even and odd, K], without odd ones after the first layer; "scalars", of the
    trained layers; after the last layer instead of x "kept", the tensors given to the trained layers, or what those of
    the layers so far add up to ("given", up to the l of SevenNet).
    """

    def __init__(self, encoder: Pretrained, index: int) -> None:
        layers: Any = encoder.body.layers
        self.encoder, self.layer, self.index = encoder, layers[index], index
        self.last = index == len(layers) - 1
        self.before, self.after = [len(w) for w in self.layer.first], self.layer.after
        self.copies = 1 if index < 2 else 2
        self.dtype = self.layer.denominator.dtype
        self.sent = self.copies * _width(self.before)
        top = encoder.top
        given, features = top.settings.channels, (1 + bool(index)) * _width(self.after)
        self.held = {"scalars": top.scalars, **({"kept": size(top.lmax) * given} if self.last else {"x": features})}
        self.adds = encoder.body.all_tensors or self.last
        if self.adds and not self.last:
            self.held["given"] = size(encoder.body.lmax) * given
        with torch.no_grad():
            self.groups = [self._group(l1) for l1 in range(len(self.before))]
            self.matrix = torch.cat([g.matrix for g in self.groups], dim=1)
            self.second = [self._second(block) for block in range(2 * len(self.after))]
            self.tables = self._splines() if self.dtype == torch.float32 else []

    def _group(self, l1: int) -> _Group:
        layer, lmax = self.layer, len(self.after) - 1
        blocks = self._channels()
        heights = np.repeat(2 * np.arange(lmax + 1) + 1, 2)
        before = np.concatenate([[0], np.cumsum(heights * [sum(b.values()) for b in blocks])])
        edges = np.concatenate([[0], np.cumsum(layer.widths)])
        own = [(n, p) for n, p in enumerate(layer.paths) if p[0] == l1]
        columns, places = [], []
        for n, (_, l2, l3) in own:
            table = getattr(layer, "c{}{}{}".format(*layer.paths[n])).permute(1, 2, 0)
            padded = table.new_zeros(size(lmax), table[0].numel())
            padded[part(l2)] = table.flatten(1)
            columns.append(padded)
            for copy in range(self.copies):
                block = 2 * l3 + (copy + l1 + l2 + l3) % 2
                earlier = sum(k for m, k in blocks[block].items() if m < n)
                places.append((before[block], sum(blocks[block].values()), earlier))
        return _Group(
            np.array([p[2] for _, p in own]),
            torch.cat(columns, dim=1),
            np.concatenate([np.arange(edges[n], edges[n + 1]) for n, _ in own]),
            np.array(places).reshape(len(own), self.copies, 3),
        )

    def _channels(self) -> list[dict[int, int]]:
        """Paths that end in every block (l3, even or odd), with their channels."""
        blocks: list[dict[int, int]] = [{} for _ in range(2 * len(self.after))]
        for n, (path, channels) in enumerate(zip(self.layer.paths, self.layer.widths, strict=True)):
            for copy in range(self.copies):
                blocks[2 * path[2] + (copy + sum(path)) % 2][n] = channels
        return blocks

    def _second(self, block: int) -> torch.Tensor:
        """The second linear map, (C, …), for what ends in a block."""
        w = self.layer.second[block // 2] / (math.sqrt(len(self.layer.second[block // 2])) * self.layer.denominator)
        own = self._channels()[block]
        paths = [n for n, p in enumerate(self.layer.paths) if p[2] == block // 2]
        pieces = w.split([self.layer.widths[n] for n in paths])
        return torch.cat([w[:0], *(piece for n, piece in zip(paths, pieces, strict=True) if n in own)])

    def _radial(self, r: npt.NDArray[np.float64]) -> tuple[list[npt.NDArray], npt.NDArray[np.int64], npt.NDArray]:
        """Radial weights for `convolution_kernel`: tables by l1, rows and factors for every edge."""
        if self.tables:
            cells, factors = spline_places(r, CLOSEST - BEYOND * SPACING)
            return self.tables, cells, factors.astype(np.float32)
        weights = np.zeros((len(r) + 3, sum(self.layer.widths)))
        weights[: len(r)] = self._weights(r)
        alone = np.tile([1.0, 0.0, 0.0, 0.0], (len(r), 1))
        return [weights[:, g.weights] for g in self.groups], np.arange(len(r)), alone

    def _weights(self, r: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The radial network in double precision, (E, paths·K)."""
        matrices = [self.encoder.body.frequencies, *self.layer.radial]
        return _radial_weights(r, [w.double() for w in matrices], len(self.after) - 1)

    def _splines(self) -> list[npt.NDArray]:
        """Tables of spline coefficients by l1."""
        content = tuple(w.detach().numpy().tobytes() for w in (self.encoder.body.frequencies, *self.layer.radial))
        coefficients = _spline_table(content, len(self.after) - 1)
        return [np.ascontiguousarray(coefficients[:, g.weights]) for g in self.groups]

    def send(self, before: States) -> npt.NDArray:
        """What neighbours read: the first linear map of the features."""
        result = torch.empty(len(before["x"]), self.sent, dtype=self.dtype)
        for start in range(0, len(result), ROWS):
            rows = slice(start, start + ROWS)
            self._linear(before["x"][rows], self.layer.first, result[rows])
        return result.numpy()

    def _linear(self, x: torch.Tensor, matrices: Any, out: torch.Tensor) -> None:
        """Matrices of every l applied to flat features, into flat features."""
        start = stop = 0
        for l, w in enumerate(matrices):
            many = self.copies * (2 * l + 1)
            piece = x[:, start : start + many * len(w)].reshape(-1, many, len(w))
            start += many * len(w)
            out[:, stop : stop + many * w.shape[1]] = (piece @ (w / math.sqrt(len(w)))).flatten(1)
            stop += many * w.shape[1]

    def __call__(self, before: States, sent: npt.NDArray, around: Surroundings) -> States:
        """States of some atoms after the layer."""
        own = torch.from_numpy(around.own)
        x = self._gated(self._summed(sent, around), before["x"][own])
        scalars = before["scalars"][own] + self._given_scalars(x[0][:, 0, 0])
        states = {"scalars": scalars}
        if self.adds:
            known = before["given"][own] if "given" in before else None
            states["kept" if self.last else "given"] = self._given_tensors(x, known)
        return states if self.last else {**states, "x": torch.cat([t.flatten(1) for t in x], dim=1)}

    def _summed(self, sent: npt.NDArray, around: Surroundings) -> list[torch.Tensor]:
        """Summed messages after the second linear map: by l3 and even or odd, (n, 2l3+1, K)."""
        n = len(around.own)
        length = np.linalg.norm(around.vectors, axis=1)
        harmonics = directions(around.vectors, len(self.after) - 1, self.dtype)
        matrices = (harmonics @ self.matrix).numpy()
        tables, cells, factors = self._radial(length)
        sizes = [n * (2 * (b // 2) + 1) * len(w) for b, w in enumerate(self.second)]
        out = torch.empty(sum(sizes), dtype=self.dtype)
        at = column = 0
        for l1, group in enumerate(self.groups):
            kernel = convolution_kernel(l1, self.before[l1], self.copies)
            edges = (around.starts, around.source)
            kernel(
                edges, sent, column, tables[l1], cells, factors, matrices, at, group.paths, group.places, out.numpy()
            )
            at += group.matrix.shape[1]
            column += (2 * l1 + 1) * self.copies * self.before[l1]
        blocks = out.split(sizes)
        return [
            p.view(n, 2 * (b // 2) + 1, len(w)) @ w for b, (p, w) in enumerate(zip(blocks, self.second, strict=True))
        ]

    def _gated(self, y: list[torch.Tensor], x: torch.Tensor) -> list[torch.Tensor]:
        """Self-connection and gate: by l (n, 2l+1, even and odd, K); no odd ones after the first layer."""
        start = 0
        for l, w in enumerate(self.layer.connect):
            stop = start + (2 * l + 1) * self.copies * len(w)
            piece = x[:, start:stop].view(len(x), 2 * l + 1, self.copies, len(w)) @ (w / math.sqrt(len(w)))
            for copy in range(self.copies):
                y[2 * l + copy] += piece[:, :, copy]
            start = stop
        widths = list(pairwise(accumulate(self.after)))
        if not self.index:
            s = SILU * torch.nn.functional.silu(y[0])
            result = [s[..., : self.after[0]], *(y[2 * l] * s[..., a:b] for l, (a, b) in enumerate(widths, start=1))]
            return [t[:, :, None] for t in result]
        one, other = (SILU * torch.nn.functional.silu(t) for t in (y[0] + y[1], y[0] - y[1]))
        even, odd = 0.5 * (one + other), 0.5 * (one - other)
        result = [torch.stack([even[..., : self.after[0]], odd[..., : self.after[0]]], dim=2)]
        for l, (a, b) in enumerate(widths, start=1):
            p, q, g, h = y[2 * l], y[2 * l + 1], even[..., a:b], odd[..., a:b]
            result.append(torch.stack([p * g + q * h, p * h + q * g], dim=2))
        return result

    def _given_scalars(self, x: torch.Tensor) -> torch.Tensor:
        """What the scalars of this layer, standardised, add to those of the trained layers."""
        e, width = self.encoder, self.after[0]
        own = slice(self.index * width, (self.index + 1) * width)
        weight = e.top.start.weight[:, e.top.settings.embedding :][:, own]
        return ((x - e.mean[own]) / e.scale[own]) @ weight.T

    def _given_tensors(self, x: list[torch.Tensor], known: torch.Tensor | None) -> torch.Tensor:
        """The even tensors, standardised, in the channels of the trained layers, added to those of layers before."""
        e, lmax = self.encoder, self.encoder.top.lmax if self.last else self.encoder.body.lmax
        start = e.body.widths[0]
        result = torch.zeros(len(x[0]), size(lmax), e.top.settings.channels, dtype=self.dtype)
        if known is not None:
            result[:, : known.shape[1]] = known
        for l, mix in enumerate(e.top.given, start=1):
            stop = start + (2 * l + 1) * len(mix)
            first = self.index * self.after[l] if e.body.all_tensors else 0
            own = slice(first, first + self.after[l])
            mean, scale = (t[start:stop].view(2 * l + 1, len(mix))[:, own] for t in (e.mean, e.scale))
            result[:, part(l)] += (x[l][:, :, 0] - mean) / scale @ mix[own]
            start = stop
        return result


def _width(channels: Any) -> int:
    return sum((2 * l + 1) * k for l, k in enumerate(channels))


def _radial_weights(r: npt.NDArray[np.float64], matrices: list[torch.Tensor], lmax: int) -> npt.NDArray[np.float64]:
    """Weights (E, paths·K) at distances r (E,); matrices: frequencies, then those of the radial network."""
    return radial_network(matrices[1:], radial_functions(torch.from_numpy(r), matrices[0], lmax)).numpy()


@lru_cache(maxsize=8)
def _spline_table(content: tuple[bytes, ...], lmax: int) -> npt.NDArray[np.float32]:
    """Spline coefficients of `_radial_weights`, kept by content: making them takes longer than a small cell."""
    frequencies, *matrices = (torch.from_numpy(np.frombuffer(c, dtype=np.float32).astype(float)) for c in content)
    shaped = [w.view(rows, -1) for w, rows in zip(matrices, (BESSEL, WIDTH, WIDTH), strict=True)]
    knots = np.arange(-BEYOND, round((CUTOFF - CLOSEST) / SPACING) + BEYOND + 1, dtype=np.float64) * SPACING + CLOSEST
    return spline_coefficients(_radial_weights(knots, [frequencies, *shaped], lmax)).astype(np.float32)
