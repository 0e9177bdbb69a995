"""The two tensor products of the encoder, compiled: no array per edge and path is ever stored.

`rhotem.training.network.tensor.EdgeProduct` and `AtomProduct` are the plain form of the same sums.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rhotem.core.compiled import compiled
from rhotem.learned.couplings import Path, coupling, part, size


class EdgeTables(NamedTuple):
    """``matrix`` (lm2, …): harmonics @ matrix are, path by path, matrices [m3, m1]; ``paths`` (P, 2): l1 and l3."""

    matrix: npt.NDArray
    paths: npt.NDArray[np.int64]


def edge_tables(paths: Sequence[Path], dtype: npt.DTypeLike) -> EdgeTables:
    """What `edge_kernel` needs to know of a product along ``paths``."""
    columns, components = [], size(max(p[1] for p in paths))
    for path in paths:
        own = coupling(*path).transpose(1, 2, 0).reshape(2 * path[1] + 1, -1)
        padded = np.zeros((components, own.shape[1]), dtype=dtype)
        padded[part(path[1])] = own
        columns.append(padded)
    return EdgeTables(np.concatenate(columns, axis=1), np.array([(p[0], p[2]) for p in paths]))


class AtomTables(NamedTuple):
    """Non-zero couplings: ``rows`` (R, 2) path and component of the first factor, ``entries`` (Z, 3) row and
    components of second factor and result, ``values`` (Z,).
    """

    rows: npt.NDArray[np.int64]
    entries: npt.NDArray[np.int64]
    values: npt.NDArray


def atom_tables(paths: Sequence[Path], dtype: npt.DTypeLike) -> AtomTables:
    """What `atom_kernel` needs to know of a product along ``paths``."""
    rows, entries, values = [], [], []
    for index, (l1, l2, l3) in enumerate(paths):
        table = coupling(l1, l2, l3)
        for m1 in range(2 * l1 + 1):
            rows.append((index, l1 * l1 + m1))
            for m2, m3 in zip(*np.nonzero(np.abs(table[m1]) > 1e-12), strict=True):
                entries.append((len(rows) - 1, l2 * l2 + m2, l3 * l3 + m3))
                values.append(table[m1, m2, m3])
    return AtomTables(np.array(rows).reshape(-1, 2), np.array(entries).reshape(-1, 3), np.array(values, dtype=dtype))


@lru_cache
def _norms(lmax: int) -> npt.NDArray[np.float64]:
    """√(4π) times those of the associated Legendre functions, ((lmax+1)²,)."""
    return np.array([
        math.sqrt((2 - (m == 0)) * (2 * l + 1) * math.factorial(l - abs(m)) / math.factorial(l + abs(m)))
        for l in range(lmax + 1)
        for m in range(-l, l + 1)
    ])  # fmt: skip


def directions(vectors: npt.NDArray[np.float64], lmax: int, dtype: npt.DTypeLike = np.float64) -> npt.NDArray:
    """√(4π) Y_lm of directions of edges, which have a length, (E, (lmax+1)²): mean square 1 per component."""
    result = np.empty((len(vectors), size(lmax)))
    _harmonics(vectors, lmax, _norms(lmax), result)
    return result.astype(dtype, copy=False)


@compiled
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


@compiled
def edge_kernel(starts, source, sent, matrices, weights, paths, out):  # type: ignore[no-untyped-def]  # compiled
    """out[atom] = Σ_edges Σ_paths w (h ⊗ Y).

    ``starts`` (n + 1,) edges of every atom, ``source`` (E,) rows of ``sent`` (M, lm, K), ``matrices`` (E, …) see
    `EdgeTables`, ``weights`` (E, paths, K), ``out`` (n, lm, K).
    """
    channels = sent.shape[2]
    for atom in range(len(starts) - 1):
        total = out[atom]
        total[:] = 0.0
        for e in range(starts[atom], starts[atom + 1]):
            h, w, c = sent[source[e]], weights[e], matrices[e]
            at = 0
            for p in range(len(paths)):
                l1, l3 = paths[p, 0], paths[p, 1]
                wp = w[p]
                for m3 in range(l3 * l3, (l3 + 1) * (l3 + 1)):
                    row = total[m3]
                    for m1 in range(l1 * l1, (l1 + 1) * (l1 + 1)):
                        factor, other = c[at], h[m1]
                        at += 1
                        for k in range(channels):
                            row[k] += wp[k] * (factor * other[k])


@compiled
def atom_kernel(a, b, weights, table, out):  # type: ignore[no-untyped-def]  # compiled
    """out[atom] = Σ_paths w (a ⊗ b); a, b, out (n, lm, K), weights (paths, K)."""
    rows, entries, values = table
    channels = a.shape[2]
    scaled = np.empty((len(rows), channels), a.dtype)
    for atom in range(len(a)):
        total = out[atom]
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
