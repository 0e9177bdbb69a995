"""Atom-centred Gaussians times solid harmonics on a grid, compiled.

Along a row of grid points r² is a parabola and Σ_lm c_nlm r^l Y_lm a polynomial of degree l, so a point costs one
exponential and a Horner scheme per radial function. Any cell; double precision throughout.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.core.compiled import compiled
from rhotem.core.threads import available_threads
from rhotem.learned.couplings import part, solid_harmonics
from rhotem.learned.radial import Block

#: Largest angular momentum the kernel knows.
LMAX = 4
#: Exponents (a, b, c) of the monomials u1^a u2^b u3^c, in the order the kernel sums them: c, then b, then a fastest.
MONOMIALS = tuple((a, b, c) for c in range(LMAX + 1) for b in range(LMAX + 1 - c) for a in range(LMAX + 1 - c - b))
#: A Gaussian is dropped from rows where it is below exp(−this) = 2e-16.
NEGLIGIBLE = 36.0
#: Pieces of the work per thread: enough to even it out, few enough to prepare every atom only a few times.
PIECES = 4


def harmonic_polynomials(grid: PeriodicGrid, lmax: int) -> npt.NDArray[np.float64]:
    """r^l Y_lm as polynomials in u, r = Σ u_a ŝ_a with ŝ_a the unit vectors of the cell; ((lmax+1)², monomials)."""
    axes = grid.cell / np.linalg.norm(grid.cell, axis=1)[:, None]
    u = np.array(list(product((-2.0, -1.0, 0.0, 1.0, 2.0), repeat=3)))
    harmonics = solid_harmonics(u @ axes, lmax)
    result = np.zeros(((lmax + 1) ** 2, len(MONOMIALS)))
    for l in range(lmax + 1):
        own = [i for i, powers in enumerate(MONOMIALS) if sum(powers) == l]
        values = np.stack([np.prod(u ** np.array(MONOMIALS[i]), axis=1) for i in own], axis=1)
        result[part(l)][:, own] = np.linalg.lstsq(values, harmonics[:, part(l)], rcond=None)[0].T
    return result


class BlockOnGrid:
    """The functions of a readout's block on a grid, for atoms given by coefficients.

    Parameters
    ----------
    block : Block
    grid : PeriodicGrid
    positions : (N, 3) array
        Cartesian, Å.
    """

    def __init__(self, block: Block, grid: PeriodicGrid, positions: npt.NDArray[np.float64]) -> None:
        if block.lmax > LMAX:
            raise ValueError(f"compiled readout: l = {block.lmax}, knows up to {LMAX}")
        self.block, self.grid = block, grid
        length = np.linalg.norm(grid.cell, axis=1)
        axes = grid.cell / length[:, None]
        self.metric = axes @ axes.T
        #: squared distance of a plane u1 = 1 from the origin
        self.apart = float(np.linalg.det(self.metric) / np.linalg.det(self.metric[1:, 1:]))
        self.step = length / np.array(grid.shape)
        self.polynomials = harmonic_polynomials(grid, block.lmax)
        self.reach = block.cutoff * np.linalg.norm(grid.reciprocal, axis=1) * np.array(grid.shape)
        index = positions @ np.linalg.inv(grid.cell) * grid.shape
        self.base = np.floor(index)
        self.offset = index - self.base
        self.base = (self.base % grid.shape).astype(np.int64)

    def add(
        self,
        out: npt.NDArray[np.float64],
        first: int,
        coefficients: npt.NDArray[np.float64],
        atoms: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Add atoms to the planes ``first`` … of the first axis.

        Parameters
        ----------
        out : (planes, n2, n3) array, changed
        first : int
            Plane of the grid that ``out[0]`` is.
        coefficients : (M, functions, (lmax+1)²) array
        atoms : (M,) int array

        Returns
        -------
        (M, 2) array
            Sums over these planes of every atom's density and of its last function G alone.
        """
        polynomials = coefficients @ self.polynomials
        sums = np.zeros((len(atoms), 2))
        _add(
            out,
            (first, self.grid.shape[0]),
            (self.base[atoms], self.offset[atoms], polynomials),
            (self.metric, self.step, self.reach, self.apart),
            (0.5 / self.block.sigma**2, self.block.cutoff),
            sums,
        )
        return sums

    def touching(self, first: int, count: int) -> npt.NDArray[np.int64]:
        """Atoms that reach planes ``first`` … ``first + count − 1`` of the first axis."""
        n = self.grid.shape[0]
        after = (self.base[:, 0] - first) % n
        reach = int(np.ceil(self.reach[0])) + 1
        return np.flatnonzero((after < count + reach) | (after > n - reach - 1))


def add_block(
    out: npt.NDArray[np.float64],
    first: int,
    functions: BlockOnGrid,
    coefficients: npt.NDArray[np.float64],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> npt.NDArray[np.float64]:
    """All atoms on the planes ``first`` … of ``out``, in threads; returns sums as `BlockOnGrid.add`, (N, 2).

    Every thread owns planes, and atoms are added in their order: the result does not depend on the number of threads.
    """
    threads = available_threads()
    edges = np.unique(np.linspace(0, len(out), threads * PIECES + 1 if threads > 1 else 2).astype(int))
    sums = np.zeros((len(coefficients), 2))

    def work(start: int, stop: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        atoms = functions.touching(first + start, stop - start)
        return atoms, functions.add(out[start:stop], first + start, coefficients[atoms], atoms)

    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(work, a, b) for a, b in pairwise(edges)]
        for done, job in enumerate(jobs):
            atoms, own = job.result()
            sums[atoms] += own
            progress(done + 1, len(jobs))
    return sums


@compiled(inside=True)
def _exp(x: float) -> float:
    """exp(x) for −700 < x <= 0 to 5e-15, written out because calls of the library's do not vectorise."""
    n = np.floor(x * 1.4426950408889634 + 0.5)
    f = (x - n * 0.69314718036912382) - n * 1.9082149292705877e-10
    p = 1.0 / 3628800.0 + f / 39916800.0
    p = 1.0 / 362880.0 + f * p
    p = 1.0 / 40320.0 + f * p
    p = 1.0 / 5040.0 + f * p
    p = 1.0 / 720.0 + f * p
    p = 1.0 / 120.0 + f * p
    p = 1.0 / 24.0 + f * p
    p = 1.0 / 6.0 + f * p
    p = 1.0 + f * (1.0 + f * (0.5 + f * p))
    bits = np.int64((np.int64(n) + 1023) << 52)
    return p * np.int64(bits).view(np.float64)


@compiled(inside=True)
def _across(polynomial, u1, plane):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """Polynomials (functions, monomials) at u1: coefficients of u3^c u2^b into ``plane`` (functions, c, b)."""
    for n in range(len(plane)):
        at = 0
        for c in range(LMAX + 1):
            for b in range(LMAX + 1 - c):
                total = 0.0
                for a in range(LMAX - c - b, -1, -1):
                    total = total * u1 + polynomial[n, at + a]
                plane[n, c, b] = total
                at += LMAX + 1 - c - b


@compiled(inside=True)
def _along(plane, u2, row):  # type: ignore[no-untyped-def]  # compiled: numba types it
    """``plane`` (c, b) of one function at u2: coefficients of u3^c into ``row``."""
    for c in range(LMAX + 1):
        total = 0.0
        for b in range(LMAX - c, -1, -1):
            total = total * u2 + plane[c, b]
        row[c] = total


@compiled
def _points(line, points, begin, step, parabola, plane, u2, radial):  # type: ignore[no-untyped-def]  # compiled
    """One atom at ``points`` points of a row, u3 = begin + k step, into line[1]; sums of it and of the last G."""
    constant, slope = parabola
    exponents, cutoff = radial
    squared, value, last = line[0], line[1], line[2]
    nearest = constant - 0.25 * slope * slope
    row = np.empty(LMAX + 1)
    for k in range(points):
        u3 = begin + k * step
        squared[k] = constant + u3 * (slope + u3)
        value[k] = 0.0
        last[k] = 0.0
    for n in range(len(exponents)):
        alpha = exponents[n]
        if alpha * nearest > NEGLIGIBLE:
            continue
        _along(plane[n], u2, row)
        p0, p1, p2, p3, p4 = row
        for k in range(points):
            u3 = begin + k * step
            last[k] = _exp(max(-alpha * squared[k], -700.0))
            value[k] += last[k] * (p0 + u3 * (p1 + u3 * (p2 + u3 * (p3 + u3 * p4))))
    values, weights = 0.0, 0.0
    for k in range(points):
        end = max(1.0 - squared[k] / (cutoff * cutoff), 0.0)
        end = end * end * end
        value[k] *= end
        values += value[k]
        weights += last[k] * end
    return values, weights


@compiled
def _add(out, planes, atoms, geometry, radial, sums):  # type: ignore[no-untyped-def]  # compiled: numba types it
    first, n1 = planes
    bases, offsets, polynomials = atoms
    metric, step, reach, apart = geometry
    limit = radial[1] ** 2
    count, n2, n3 = out.shape
    line = np.empty((3, int(2 * reach[2]) + 3))
    plane = np.empty((len(radial[0]), LMAX + 1, LMAX + 1))
    for atom in range(len(bases)):
        base, offset = bases[atom], offsets[atom]
        for o1 in range(int(np.ceil(offset[0] - reach[0])), int(np.floor(offset[0] + reach[0])) + 1):
            i = (base[0] + o1 - first) % n1
            u1 = (o1 - offset[0]) * step[0]
            if i >= count or u1 * u1 * apart >= limit:
                continue
            _across(polynomials[atom], u1, plane)
            for o2 in range(int(np.ceil(offset[1] - reach[1])), int(np.floor(offset[1] + reach[1])) + 1):
                u2 = (o2 - offset[1]) * step[1]
                constant = u1 * u1 + 2.0 * metric[0, 1] * u1 * u2 + u2 * u2
                slope = 2.0 * (metric[0, 2] * u1 + metric[1, 2] * u2)
                room = limit - constant + 0.25 * slope * slope
                if room <= 0.0:
                    continue
                half = np.sqrt(room)
                low = int(np.ceil((-0.5 * slope - half) / step[2] + offset[2]))
                points = int(np.floor((-0.5 * slope + half) / step[2] + offset[2])) - low + 1
                begin = (low - offset[2]) * step[2]
                values, weights = _points(line, points, begin, step[2], (constant, slope), plane, u2, radial)
                sums[atom, 0] += values
                sums[atom, 1] += weights
                target = out[i, (base[1] + o2) % n2]
                done, at = 0, (base[2] + low) % n3
                while done < points:
                    piece = min(points - done, n3 - at)
                    for k in range(piece):
                        target[at + k] += line[1, done + k]
                    done += piece
                    at = 0
