"""SevenNet-0's convolutions over the edges of a few atoms, and their gradient, compiled."""

import numpy as np

from rhotem.core.compiled import compiled
from rhotem.learned.energy.vectors import LANES, SUMS, gradient_of_edge, message_of_edge


@compiled
def messages(kind, edges, sent, table, matrices, sizes, out):  # type: ignore[no-untyped-def]  # compiled
    """Sum the messages to some atoms.

    ``kind``: of the convolution; ``edges``: starts (n + 1,), rows (E,) of ``sent``, cells (E,) of ``table`` and places
    in these (E,), −1 to 1; ``table``: coefficients of the radial weights, flat; ``sent`` flat, 480 numbers a row (128
    of the first kind); ``matrices`` flat, of every edge; ``sizes``: numbers of an atom's sums by l3, of a row of
    ``sent``, of an edge's matrices, of a cell's coefficients; ``out`` flat: sums of all atoms of l3 = 0, then 1, 2.
    """
    starts, source, cells, parts = edges
    atoms = len(starts) - 1
    out[:] = 0.0
    for atom in range(atoms):
        places = _places(atom, atoms, sizes)
        for e in range(starts[atom], starts[atom + 1]):
            row, edge = source[e] * sizes[3], (e - starts[0]) * sizes[4]
            radial = (table, cells[e] * sizes[5], parts[e])
            if kind == 0:
                message_of_edge(0, sent, row, radial, matrices, edge, out, places)
            elif kind == 1:
                message_of_edge(1, sent, row, radial, matrices, edge, out, places)
            else:
                message_of_edge(2, sent, row, radial, matrices, edge, out, places)


@compiled
def gradients(kind, edges, sent, table, matrices, sizes, back, to_sent, by_edge):  # type: ignore[no-untyped-def]
    """From the gradient ``back`` by the sums (as ``out`` of `messages`) that by what was sent and by the edges.

    ``to_sent`` flat, added to; ``by_edge`` (E, 9), added to: derivatives by the place in its cell, and by the
    harmonics of l = 1 and 2.
    """
    starts, source, cells, parts = edges
    atoms = len(starts) - 1
    sums = np.empty(SUMS * LANES, sent.dtype)
    for atom in range(atoms):
        places = _places(atom, atoms, sizes)
        for e in range(starts[atom], starts[atom + 1]):
            row, edge = source[e] * sizes[3], (e - starts[0]) * sizes[4]
            radial = (table, cells[e] * sizes[5], parts[e])
            sums[:] = 0.0
            if kind == 0:
                gradient_of_edge(0, sent, row, radial, matrices, edge, back, places, sums, to_sent)
            elif kind == 1:
                gradient_of_edge(1, sent, row, radial, matrices, edge, back, places, sums, to_sent)
            else:
                gradient_of_edge(2, sent, row, radial, matrices, edge, back, places, sums, to_sent)
            for n in range(SUMS):
                total = by_edge[e, n]
                for lane in range(LANES):
                    total += sums[n * LANES + lane]
                by_edge[e, n] = total


@compiled(inside=True)
def _places(atom, atoms, sizes):  # type: ignore[no-untyped-def]  # compiled
    """First numbers of an atom's sums of l3 = 0, 1, 2."""
    second = atoms * sizes[0]
    third = second + atoms * sizes[1]
    return atom * sizes[0], second + atom * sizes[1], third + atom * sizes[2]


@compiled(exact=True)
def collect(starts, source, vectors, by_edge, scale, forces, virial):  # type: ignore[no-untyped-def]
    """Forces (N, 3), added to, and Σ vector ⊗ gradient (3, 3), from the gradients by edges.

    ``scale``: places in a cell per Å. The harmonics of l = 1 and 2 are √3 (y, z, x) and √15 (xy, yz, (3z² − 1)/√12, xz,
    (x² − y²)/2) of the direction.
    """
    root3, root15, root5 = np.sqrt(3.0), np.sqrt(15.0), np.sqrt(5.0)
    for atom in range(len(starts) - 1):
        for e in range(starts[atom], starts[atom + 1]):
            vx, vy, vz = vectors[e, 0], vectors[e, 1], vectors[e, 2]
            inverse = 1.0 / np.sqrt(vx * vx + vy * vy + vz * vz)
            x, y, z = vx * inverse, vy * inverse, vz * inverse
            g = by_edge[e]
            ax = root3 * g[3] + root15 * (y * g[4] + z * g[7] + x * g[8])
            ay = root3 * g[1] + root15 * (x * g[4] + z * g[5] - y * g[8])
            az = root3 * g[2] + root15 * (y * g[5] + x * g[7]) + 3.0 * root5 * z * g[6]
            along = scale * g[0] - (ax * x + ay * y + az * z) * inverse
            fx, fy, fz = along * x + ax * inverse, along * y + ay * inverse, along * z + az * inverse
            forces[atom, 0] += fx
            forces[atom, 1] += fy
            forces[atom, 2] += fz
            forces[source[e], 0] -= fx
            forces[source[e], 1] -= fy
            forces[source[e], 2] -= fz
            virial[0, 0] += vx * fx
            virial[0, 1] += vx * fy
            virial[0, 2] += vx * fz
            virial[1, 0] += vy * fx
            virial[1, 1] += vy * fy
            virial[1, 2] += vy * fz
            virial[2, 0] += vz * fx
            virial[2, 1] += vz * fy
            virial[2, 2] += vz * fz
