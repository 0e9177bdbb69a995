"""The two tensor products of the encoder, compiled: no tensor per edge and path is ever stored.

`rhotem.models.tensor.EdgeProduct` and `AtomProduct` are the plain form of the same sums.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from numba import njit

from rhotem.models.tensor import AtomProduct, EdgeProduct, part, size

#: Reassociation and fused multiply-adds, without which loops do not vectorise.
FAST = {"contract", "reassoc", "nsz", "arcp"}


def path_couplings(product: EdgeProduct | AtomProduct) -> list[torch.Tensor]:
    """The module's own couplings, (2 l2 + 1, 2 l1 + 1, 2 l3 + 1) by path."""
    result = []
    columns = dict.fromkeys(product.firsts, 0)
    for l1, l2, l3 in product.paths:
        start = columns[l1]
        columns[l1] += 2 * l3 + 1
        result.append(getattr(product, f"table{l1}")[part(l2), :, start : columns[l1]])
    return result


class EdgeTables(NamedTuple):
    """``matrix`` (lm2, …): harmonics @ matrix are, path by path, matrices [m3, m1]; ``paths`` (P, 2): l1 and l3."""

    matrix: torch.Tensor
    paths: npt.NDArray[np.int64]


def edge_tables(product: EdgeProduct) -> EdgeTables:
    """What `edge_kernel` needs to know of a product."""
    columns = []
    for (_, l2, _), table in zip(product.paths, path_couplings(product), strict=True):
        own = table.permute(0, 2, 1).reshape(2 * l2 + 1, -1)
        padded = own.new_zeros(size(max(p[1] for p in product.paths)), own.shape[1])
        padded[part(l2)] = own
        columns.append(padded)
    return EdgeTables(torch.cat(columns, dim=1), np.array([(p[0], p[2]) for p in product.paths]))


class AtomTables(NamedTuple):
    """Non-zero couplings: ``rows`` (R, 2) path and component of the first factor, ``entries`` (Z, 3) row and
    components of second factor and result, ``values`` (Z,).
    """

    rows: npt.NDArray[np.int64]
    entries: npt.NDArray[np.int64]
    values: npt.NDArray


def atom_tables(product: AtomProduct) -> AtomTables:
    """What `atom_kernel` needs to know of a product."""
    rows, entries, values = [], [], []
    for path, (l1, l2, l3) in enumerate(product.paths):
        table = path_couplings(product)[path].numpy()
        for m1 in range(2 * l1 + 1):
            rows.append((path, l1 * l1 + m1))
            for m2, m3 in zip(*np.nonzero(np.abs(table[:, m1]) > 1e-12), strict=True):
                entries.append((len(rows) - 1, l2 * l2 + m2, l3 * l3 + m3))
                values.append(table[m2, m1, m3])
    return AtomTables(np.array(rows), np.array(entries), np.array(values))


def directions(vectors: npt.NDArray[np.float64], lmax: int, dtype: torch.dtype) -> torch.Tensor:
    """√(4π) Y_lm of directions of edges, (E, (lmax+1)²), as `rhotem.models.tensor.directions`."""
    norms = [
        math.sqrt((2 - (m == 0)) * (2 * l + 1) * math.factorial(l - abs(m)) / math.factorial(l + abs(m)))
        for l in range(lmax + 1)
        for m in range(-l, l + 1)
    ]
    result = torch.empty(len(vectors), size(lmax), dtype=dtype)
    _harmonics(vectors, lmax, np.array(norms), result.numpy())
    return result


@njit(fastmath=FAST, nogil=True, cache=True)
def _harmonics(vectors, lmax, norms, out):  # type: ignore[no-untyped-def]  # compiled
    for e in range(len(vectors)):
        x, y, z = vectors[e]
        inverse = 1.0 / np.sqrt(x * x + y * y + z * z)
        x, y, z = x * inverse, y * inverse, z * inverse
        cosine, sine, start = 1.0, 0.0, 1.0
        for m in range(lmax + 1):
            if m:
                cosine, sine = x * cosine - y * sine, x * sine + y * cosine
                start *= 2 * m - 1
            before, legendre = 0.0, start
            for l in range(m, lmax + 1):
                if l > m:
                    before, legendre = legendre, ((2 * l - 1) * z * legendre - (l + m - 1) * before) / (l - m)
                out[e, l * l + l - m] = norms[l * l + l - m] * legendre * sine
                out[e, l * l + l + m] = norms[l * l + l + m] * legendre * cosine


@lru_cache(maxsize=8)
def edge_kernel(channels: int, components: int) -> Callable[..., None]:
    """Function summing messages; sizes are fixed, so that loops over channels become vector registers."""

    @njit(fastmath=FAST, nogil=True, cache=True)
    def messages(starts, source, sent, matrices, weights, paths, out):  # type: ignore[no-untyped-def]  # compiled
        """out[atom] = Σ_edges Σ_paths w (h ⊗ Y).

        ``starts`` (n + 1,) edges of every atom, ``source`` (E,) rows of ``sent`` (M, lm, K), ``matrices`` (E, …) see
        `EdgeTables`, ``weights`` (E, paths, K), ``out`` (n, lm, K).
        """
        total = np.empty((components, channels), sent.dtype)
        for atom in range(len(starts) - 1):
            total[:] = 0.0
            for e in range(starts[atom], starts[atom + 1]):
                h, w, c = sent[source[e]], weights[e], matrices[e]
                at = 0
                for p in range(len(paths)):
                    l1, l3 = paths[p, 0], paths[p, 1]
                    wp = w[p]
                    b, rows = l1 * l1, range(l3 * l3, (l3 + 1) * (l3 + 1))
                    # the usual l1 written out: sums stay in registers
                    if l1 == 0:
                        h0 = h[0]
                        for m3 in rows:
                            row, c0 = total[m3], c[at]
                            at += 1
                            for k in range(channels):
                                row[k] += wp[k] * (c0 * h0[k])
                    elif l1 == 1:
                        h0, h1, h2 = h[1], h[2], h[3]
                        for m3 in rows:
                            row, c0, c1, c2 = total[m3], c[at], c[at + 1], c[at + 2]
                            at += 3
                            for k in range(channels):
                                row[k] += wp[k] * (c0 * h0[k] + c1 * h1[k] + c2 * h2[k])
                    elif l1 == 2:
                        h0, h1, h2, h3, h4 = h[4], h[5], h[6], h[7], h[8]
                        for m3 in rows:
                            row, c0, c1, c2, c3, c4 = total[m3], c[at], c[at + 1], c[at + 2], c[at + 3], c[at + 4]
                            at += 5
                            for k in range(channels):
                                row[k] += wp[k] * (c0 * h0[k] + c1 * h1[k] + c2 * h2[k] + c3 * h3[k] + c4 * h4[k])
                    else:
                        for m3 in rows:
                            row = total[m3]
                            for m1 in range(2 * l1 + 1):
                                factor, other = c[at + m1], h[b + m1]
                                for k in range(channels):
                                    row[k] += wp[k] * factor * other[k]
                            at += 2 * l1 + 1
            out[atom] = total

    return messages


@lru_cache(maxsize=8)
def atom_kernel(channels: int, components: int) -> Callable[..., None]:
    """Function multiplying features of one atom with each other; see `edge_kernel`."""

    @njit(fastmath=FAST, nogil=True, cache=True)
    def power(a, b, weights, table, out):  # type: ignore[no-untyped-def]  # compiled
        """out[atom] = Σ_paths w (a ⊗ b); a, b, out (n, lm, K), weights (paths, K)."""
        rows, entries, values = table
        scaled = np.empty((len(rows), channels), a.dtype)
        total = np.empty((components, channels), a.dtype)
        for atom in range(len(a)):
            total[:] = 0.0
            for r in range(len(rows)):
                w, factor, own = weights[rows[r, 0]], a[atom, rows[r, 1]], scaled[r]
                for k in range(channels):
                    own[k] = w[k] * factor[k]
            for z in range(len(values)):
                own, other, row = scaled[entries[z, 0]], b[atom, entries[z, 1]], total[entries[z, 2]]
                value = values[z]
                for k in range(channels):
                    row[k] += value * own[k] * other[k]
            out[atom] = total

    return power
