"""Loops of the gated readout over pairs of atoms and points, compiled."""

import numpy as np

from rhotem.core.compiled import compiled
from rhotem.learned.kernels.harmonics import solid


@compiled(exact=True)
def pairs(points, images, reach2):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """Pairs (image, point) nearer than √reach2 by image, and vectors from the image to the point; all in Å."""
    count = 0
    for i in range(len(images)):
        for p in range(len(points)):
            x, y, z = points[p, 0] - images[i, 0], points[p, 1] - images[i, 1], points[p, 2] - images[i, 2]
            if x * x + y * y + z * z < reach2:
                count += 1
    image, point = np.empty(count, np.int64), np.empty(count, np.int64)
    vectors = np.empty((count, 3))
    at = 0
    for i in range(len(images)):
        for p in range(len(points)):
            x, y, z = points[p, 0] - images[i, 0], points[p, 1] - images[i, 1], points[p, 2] - images[i, 2]
            if x * x + y * y + z * z < reach2:
                image[at], point[at] = i, p
                vectors[at, 0], vectors[at, 1], vectors[at, 2] = x, y, z
                at += 1
    return image, point, vectors


@compiled
def products(tensors, atom, vectors, lmax, radius, out):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """Σ_m Y_lm T_lm,k of every pair into ``out`` (E, (lmax+1) K), Y as r^l Y_lm / (r² + radius²)^(l/2)."""
    channels = tensors.shape[2]
    y = np.empty((lmax + 1) ** 2, dtype=vectors.dtype)
    for e in range(len(atom)):
        x0, x1, x2 = vectors[e, 0], vectors[e, 1], vectors[e, 2]
        shrink = 1.0 / np.sqrt(x0 * x0 + x1 * x1 + x2 * x2 + radius * radius)
        solid(x0 * shrink, x1 * shrink, x2 * shrink, lmax, y)
        own = tensors[atom[e]]
        for l in range(lmax + 1):
            row, factor, first = out[e, l * channels : (l + 1) * channels], y[l * l], own[l * l]
            for k in range(channels):
                row[k] = factor * first[k]
            for m in range(l * l + 1, (l + 1) * (l + 1), 2):  # in pairs: half the time goes to storing
                a, b, p, q = y[m], y[m + 1], own[m], own[m + 1]
                for k in range(channels):
                    row[k] += a * p[k] + b * q[k]


@compiled
def times_radial(table, step, vectors, out):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """Multiply ``out`` (E, C) with functions of the distance: cubic through four of the rows of a table.

    Row j is at r = (j − 1)·step.
    """
    w = np.empty(4, dtype=table.dtype)
    for e in range(len(out)):
        r = np.sqrt(vectors[e, 0] ** 2 + vectors[e, 1] ** 2 + vectors[e, 2] ** 2) / step
        row = min(int(r), len(table) - 4)
        t = r - row
        w[0] = -t * (t - 1.0) * (t - 2.0) / 6.0
        w[1] = (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0
        w[2] = -(t + 1.0) * t * (t - 2.0) / 2.0
        w[3] = (t + 1.0) * t * (t - 1.0) / 6.0
        w0, w1, w2, w3 = w[0], w[1], w[2], w[3]
        a, b, c, d, own = table[row], table[row + 1], table[row + 2], table[row + 3], out[e]
        for k in range(len(own)):
            own[k] *= w0 * a[k] + w1 * b[k] + w2 * c[k] + w3 * d[k]


@compiled
def gather(point, near, hidden, out):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """Add near · hidden (E, W) up over the pairs of every point, into the first columns of ``out`` (P, …)."""
    for e in range(len(point)):
        own, row, factor = hidden[e], out[point[e]], near[e]
        for k in range(len(own)):
            row[k] += factor * own[k]


@compiled
def add_rows(table, index, out):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """Add row ``index[e]`` of ``table`` (N, W) to row e of ``out`` (E, W)."""
    for e in range(len(index)):
        own, row = table[index[e]], out[e]
        for k in range(len(own)):
            row[k] += own[k]


@compiled
def by_distance(vectors, cutoff, core, near, falling):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """w_geo of pairs into ``near``, (r² + core²)^(−3/4) into ``falling``, (E,); vectors (E, 3) within the cutoff."""
    for e in range(len(vectors)):
        r2 = vectors[e, 0] ** 2 + vectors[e, 1] ** 2 + vectors[e, 2] ** 2
        u = np.sqrt(r2) / cutoff
        near[e] = max(0.0, 1.0 + u * u * u * (-6.0 * u * u + 15.0 * u - 10.0))
        root = np.sqrt(r2 + core * core)
        falling[e] = 1.0 / (root * np.sqrt(root))
