"""Convolution of SevenNet, compiled: radial weights from a table, messages summed atom by atom.

Even and odd parts (`rhotem.models.fast.sevennet`) lie side by side, K channels each; a path whose l1 + l2 + l3 is odd
makes odd features of even ones, and even ones of odd ones.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from rhotem.models.fast.products import FAST

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


@lru_cache(maxsize=64)
def convolution_kernel(l1: int, channels: int, copies: int) -> Callable[..., None]:
    """Function summing the messages of all paths that start at l1; sizes are fixed, so that loops vectorise."""
    rows, width = 2 * l1 + 1, channels * copies

    @njit(fastmath=FAST, nogil=True, cache=True)
    def convolve(edges, sent, column, table, cells, factors, matrices, at, paths, places, out):  # type: ignore[no-untyped-def]  # compiled
        """Write Σ_edges w (h ⊗ Y) of every atom and path to its place in ``out``.

        ``edges``: starts (n + 1,) and rows (E,) of ``sent`` (M, …), where l1 starts at ``column``, [m1, copy, K];
        ``table`` (M, paths·K), ``cells`` (E,), ``factors`` (E, 4): radial weights; ``matrices`` (E, …), from column
        ``at`` on: harmonics coupled, [path, m3, m1]; ``paths`` (P,): their l3; ``places`` (P, copies, 3): see
        `rhotem.models.fast.sevennet`.
        """
        starts, source = edges
        atoms = len(starts) - 1
        total = np.empty(width * np.sum(2 * paths + 1), sent.dtype)
        weights = np.empty(len(paths) * channels, sent.dtype)
        for atom in range(atoms):
            total[:] = 0.0
            for e in range(starts[atom], starts[atom + 1]):
                cell = cells[e]
                t0, t1, t2, t3 = table[cell], table[cell + 1], table[cell + 2], table[cell + 3]
                f0, f1, f2, f3 = factors[e, 0], factors[e, 1], factors[e, 2], factors[e, 3]
                for k in range(len(weights)):
                    weights[k] = f0 * t0[k] + f1 * t1[k] + f2 * t2[k] + f3 * t3[k]
                h = sent[source[e], column : column + rows * width]
                c = matrices[e]
                a, o = at, 0
                for p in range(len(paths)):
                    w = weights[p * channels : (p + 1) * channels]
                    for _ in range(2 * paths[p] + 1):
                        for copy in range(copies):
                            row = total[o : o + channels]
                            o += channels
                            g = h[copy * channels :]
                            # every l1 written out: sums stay in registers
                            if l1 == 0:
                                c0 = c[a]
                                for k in range(channels):
                                    row[k] += w[k] * (c0 * g[k])
                            elif l1 == 1:
                                c0, c1, c2 = c[a], c[a + 1], c[a + 2]
                                for k in range(channels):
                                    row[k] += w[k] * (c0 * g[k] + c1 * g[width + k] + c2 * g[2 * width + k])
                            elif l1 == 2:
                                c0, c1, c2, c3, c4 = c[a], c[a + 1], c[a + 2], c[a + 3], c[a + 4]
                                for k in range(channels):
                                    row[k] += w[k] * (
                                        c0 * g[k]
                                        + c1 * g[width + k]
                                        + c2 * g[2 * width + k]
                                        + c3 * g[3 * width + k]
                                        + c4 * g[4 * width + k]
                                    )
                            else:
                                c0, c1, c2, c3 = c[a], c[a + 1], c[a + 2], c[a + 3]
                                c4, c5, c6 = c[a + 4], c[a + 5], c[a + 6]
                                for k in range(channels):
                                    row[k] += w[k] * (
                                        c0 * g[k]
                                        + c1 * g[width + k]
                                        + c2 * g[2 * width + k]
                                        + c3 * g[3 * width + k]
                                        + c4 * g[4 * width + k]
                                        + c5 * g[5 * width + k]
                                        + c6 * g[6 * width + k]
                                    )
                        a += rows
            o = 0
            for p in range(len(paths)):
                count = 2 * paths[p] + 1
                for m3 in range(count):
                    for copy in range(copies):
                        before, block, first = places[p, copy, 0], places[p, copy, 1], places[p, copy, 2]
                        place = atoms * before + (atom * count + m3) * block + first
                        out[place : place + channels] = total[o : o + channels]
                        o += channels

    return convolve
