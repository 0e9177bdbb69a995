"""Spherical tensors in torch: real solid harmonics and Clebsch–Gordan couplings in the order of docs/conventions.md."""

import math
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from rhotem.learned.couplings import coupling, couplings, part, size


def solid_harmonics(vectors: torch.Tensor, lmax: int) -> torch.Tensor:
    """r^l Y_lm(r̂): polynomials, hence smooth through the origin.

    Parameters
    ----------
    vectors : (M, 3) tensor

    Returns
    -------
    (M, (lmax+1)²) tensor, columns l² + l + m, conventions of `rhotem.density.harmonics.real_harmonics`.
    """
    x, y, z = vectors.unbind(-1)
    r2 = x * x + y * y + z * z
    columns: list[torch.Tensor | None] = [None] * size(lmax)
    cosine, sine = torch.ones_like(x), torch.zeros_like(x)
    start, factor = 1.0, 1.0
    for m in range(lmax + 1):
        if m:
            cosine, sine = x * cosine - y * sine, x * sine + y * cosine
            start *= 2 * m - 1
            factor /= (2 * m) * (2 * m - 1)
        before, legendre, ratio = torch.zeros_like(x), torch.full_like(x, start), factor
        for l in range(m, lmax + 1):
            if l > m:
                before, legendre = legendre, ((2 * l - 1) * z * legendre - (l + m - 1) * r2 * before) / (l - m)
                ratio *= (l - m) / (l + m)
            norm = math.sqrt((2 * l + 1) / (4.0 * math.pi) * ratio)
            if m == 0:
                columns[l * l + l] = norm * legendre
            else:
                columns[l * l + l + m] = math.sqrt(2.0) * norm * legendre * cosine
                columns[l * l + l - m] = math.sqrt(2.0) * norm * legendre * sine
    return torch.stack([c for c in columns if c is not None], dim=-1)


def directions(vectors: torch.Tensor, lmax: int) -> torch.Tensor:
    """√(4π) Y_lm of directions of edges, which have a length: mean square 1 per component."""
    length = vectors.norm(dim=-1, keepdim=True)
    return solid_harmonics(vectors / length, lmax) * math.sqrt(4.0 * math.pi)


class ExactTables(nn.Module):
    """A module with constant tables that are right in whatever precision it is brought to."""

    def __init__(self) -> None:
        super().__init__()
        self._exact: dict[str, torch.Tensor] = {}

    def register_table(self, name: str, table: torch.Tensor) -> None:
        """Keep a table in double precision, and as a buffer in that of the module."""
        self._exact[name] = table
        self.register_buffer(name, table.to(torch.get_default_dtype()), persistent=False)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        for name, table in self._exact.items():
            setattr(self, name, table.to(getattr(self, name)))
        return self


class _Paths(ExactTables):
    """Couplings sorted by l1, with the place of every path in the output."""

    def __init__(self, paths: list[tuple[int, int, int]], lmax_out: int) -> None:
        super().__init__()
        self.paths = paths
        self.lmax_out = lmax_out
        self.firsts = sorted({p[0] for p in paths})
        for first in self.firsts:
            own = [p for p in paths if p[0] == first]
            lmax = max(p[1] for p in own)
            width = sum(2 * p[2] + 1 for p in own)
            table = torch.zeros(size(lmax), 2 * first + 1, width, dtype=torch.float64)
            start = 0
            for p in own:
                d = 2 * p[2] + 1
                table[part(p[1]), :, start : start + d] = torch.from_numpy(coupling(*p).transpose(1, 0, 2).copy())
                start += d
            self.register_table(f"table{first}", table)

    def collect(self, first: int, product: torch.Tensor, weights: tuple, sums: list[torch.Tensor | None]) -> None:
        """Add the paths that start at ``first``, (…, width, K), each times its weight, to sums by l3."""
        own = [(index, p[2]) for index, p in enumerate(self.paths) if p[0] == first]
        # split and not slices: the gradient of a split is one concatenation
        for (index, l), piece in zip(own, product.split([2 * l + 1 for _, l in own], dim=-2), strict=True):
            term = piece * weights[index][..., None, :]
            before = sums[l]
            sums[l] = term if before is None else before + term

    def __len__(self) -> int:
        return len(self.paths)


class EdgeProduct(_Paths):
    """Messages h_j ⊗ Y(r̂_ij), every channel for itself, a weight per path, channel and edge."""

    def forward(self, h: torch.Tensor, harmonics: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """From h (E, lm, K), harmonics (E, lm) and weights (E, paths, K) to (E, (lmax_out+1)², K)."""
        sums: list[torch.Tensor | None] = [None] * (self.lmax_out + 1)
        by_path = weights.unbind(1)
        pieces = h.split([2 * l + 1 for l in range(int(h.shape[1] ** 0.5))], dim=1)
        for first in self.firsts:
            table = getattr(self, f"table{first}")
            n, d, width = table.shape
            matrix = (harmonics[:, :n] @ table.transpose(1, 2).reshape(n, width * d)).reshape(-1, width, d)
            self.collect(first, torch.bmm(matrix, pieces[first]), by_path, sums)
        return torch.cat([s for s in sums if s is not None], dim=1)


class AtomProduct(_Paths):
    """Products a ⊗ b of the features of one atom, every channel for itself, with learned weights."""

    def __init__(self, lmax: int, channels: int) -> None:
        paths = [p for p in couplings(lmax, lmax, lmax) if 0 < p[0] <= p[1]]
        super().__init__(paths, lmax)
        self.weight = nn.Parameter(torch.randn(len(paths), channels) / math.sqrt(max(1, len(paths)) / (lmax + 1)))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """From (N, lm, K) and (N, lm, K) to (N, lm, K)."""
        sums: list[torch.Tensor | None] = [None] * (self.lmax_out + 1)
        by_path = self.weight.unbind(0)
        pieces = a.split([2 * l + 1 for l in range(self.lmax_out + 1)], dim=1)
        for first in self.firsts:
            table = getattr(self, f"table{first}")
            n, d, width = table.shape
            matrix = torch.matmul(table.reshape(n, d * width).T, b[:, :n]).reshape(-1, d, width, b.shape[2])
            self.collect(first, (matrix * pieces[first][:, :, None]).sum(1), by_path, sums)
        return torch.cat([s if s is not None else torch.zeros_like(p) for s, p in zip(sums, pieces, strict=True)], 1)


class Mix(nn.Module):
    """Linear maps of channels, one per l, acting on all m alike."""

    def __init__(self, channels_in: int, channels_out: int, lmax: int) -> None:
        super().__init__()
        self.lmax = lmax
        self.weight = nn.Parameter(torch.randn(lmax + 1, channels_in, channels_out) / math.sqrt(channels_in))

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        """From (N, lm, K_in) to (N, lm, K_out)."""
        pieces = a.split([2 * l + 1 for l in range(self.lmax + 1)], dim=1)
        return torch.cat([p @ w for p, w in zip(pieces, self.weight.unbind(0), strict=True)], dim=1)


def invariants(a: torch.Tensor, lmax: int) -> torch.Tensor:
    """Scalars of features (N, lm, K): l = 0 itself and the mean squares of the rest; (N, K·(lmax+1))."""
    return torch.cat([a[:, 0]] + [(a[:, part(l)] ** 2).mean(1) for l in range(1, lmax + 1)], dim=1)


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
