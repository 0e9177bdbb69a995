"""Convolution of SevenNet, compiled: radial weights from a table, messages summed atom by atom.

Even and odd parts (`rhotem.learned.encoders.interaction`) lie side by side, K channels each; a path whose l1 + l2 + l3
is odd makes odd features of even ones, and even ones of odd ones.
"""

import numpy as np
import numpy.typing as npt

from rhotem.core.compiled import compiled

#: Spacing of the knots of radial weights in Å, and knots beyond both ends, where an end condition is forgotten.
SPACING, BEYOND = 0.01, 16


def spline_coefficients(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Coefficients (M, F) of uniform cubic B-splines through ``values`` (M, F), which are straight beyond the ends."""
    from scipy.linalg import solve_banded

    bands = np.tile(np.array([[1.0], [4.0], [1.0]]) / 6.0, (1, len(values)))
    bands[1, [0, -1]] = 1.0
    bands[0, 1] = bands[2, -2] = 0.0
    return solve_banded((1, 1), bands, values)


def spline_places(r: npt.NDArray[np.float64], start: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """First of the four coefficients that matter at every r, and their factors (E, 4); knots start at ``start``."""
    u = (r - start) / SPACING
    cell = np.floor(u).astype(np.int64)
    t = u - cell
    factors = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (t + t**2 - t**3) + 1, t**3], axis=1) / 6.0
    return cell - 1, factors


@compiled
def convolve(edges, sent, table, matrices, where, paths, places, out):  # type: ignore[no-untyped-def]  # compiled
    """Write Σ_edges w (h ⊗ Y) of every atom and path that starts at l1 to its place in ``out``.

    ``edges``: starts (n + 1,), rows (E,) of ``sent`` (M, …), and rows (E,) and factors (E, 4) of radial weights in
    ``table`` (M, paths·K); ``matrices`` (E, …): harmonics coupled, [path, m3, m1]; ``where``: l1, K, first column of l1
    in ``sent``, [m1, copy, K], and in ``matrices``; ``paths`` (P,): their l3; ``places`` (P, copies, 3): see
    `rhotem.learned.encoders.interaction`.

    Of an atom and a path it is one matrix product, (m3, edges·m1) times (edges·m1, copies·K).
    """
    starts, source, cells, factors = edges
    l1, channels, column, at = where
    atoms, copies = len(starts) - 1, places.shape[1]
    rows, width = 2 * l1 + 1, channels * copies
    most = highest = 0
    for atom in range(atoms):
        most = max(most, starts[atom + 1] - starts[atom])
    for p in range(len(paths)):
        highest = max(highest, 2 * paths[p] + 1)
    weights, right = np.empty((most, len(paths) * channels), sent.dtype), np.empty((most * rows, width), sent.dtype)
    product = np.empty((highest, width), sent.dtype)
    for atom in range(atoms):
        first = starts[atom]
        n = starts[atom + 1] - first
        _radial(table, cells[first : first + n], factors[first : first + n], weights)
        a = at
        for p in range(len(paths)):
            count = 2 * paths[p] + 1
            coupled, weighted = np.empty((count, n * rows), sent.dtype), right[: n * rows]
            for i in range(n):
                w, c = weights[i, p * channels : (p + 1) * channels], matrices[first + i]
                h = sent[source[first + i]]
                for m1 in range(rows):
                    row = weighted[i * rows + m1]
                    for copy in range(copies):
                        b = column + (m1 * copies + copy) * channels
                        q, g = row[copy * channels : (copy + 1) * channels], h[b : b + channels]
                        for k in range(channels):
                            q[k] = w[k] * g[k]
                for m3 in range(count):
                    for m1 in range(rows):
                        coupled[m3, i * rows + m1] = c[a + m3 * rows + m1]
            total = product[:count]
            np.dot(coupled, weighted, total)
            a += count * rows
            for copy in range(copies):
                before, block, begin = places[p, copy, 0], places[p, copy, 1], places[p, copy, 2]
                for m3 in range(count):
                    place = atoms * before + (atom * count + m3) * block + begin
                    for k in range(channels):
                        out[place + k] = total[m3, copy * channels + k]


@compiled
def _radial(table, cells, factors, weights):  # type: ignore[no-untyped-def]  # compiled
    """Radial weights of some edges from splines."""
    for i in range(len(cells)):
        cell, w = cells[i], weights[i]
        t0, t1, t2, t3 = table[cell], table[cell + 1], table[cell + 2], table[cell + 3]
        f0, f1, f2, f3 = factors[i, 0], factors[i, 1], factors[i, 2], factors[i, 3]
        for k in range(len(w)):
            w[k] = f0 * t0[k] + f1 * t1[k] + f2 * t2[k] + f3 * t3[k]
