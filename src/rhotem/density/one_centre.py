"""Fourier coefficients of one-centre densities: radial transforms common to all atoms, phases as products.

    F_h = (4π/Ω) Σ_i exp(−2πi g·R_i) Σ_lm (−i)^l Y_lm(ĝ) ∫ r² j_l(2πgr) R_i,lm(r) dr

Within a thin shell of |g| a radial transform is a polynomial in |g|. With Lagrange polynomials L_p on the nodes g_p of
the shell the inner sum is Σ_lm,p [(−i)^l Y_lm(ĝ) L_p(|g|)] [transform of R_i,lm at g_p]: a matrix product, whatever the
atoms' functions are.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.density.field import OneCentre
from rhotem.density.harmonics import real_harmonics
from rhotem.structure.model import Structure

#: Thickness of a shell in rad of 2π g r_max, and nodes in it (Chebyshev): j_l is then good to
#: (width/2)^nodes/(2^(nodes−1) nodes!) = 2e-9.
SHELL, NODES = 0.7, 7
#: Shells whose transforms are kept, some 20 kB each.
KEPT = 512
#: Pairs of a coefficient and an atom handled at once.
PAIRS = 200_000
#: Atoms whose tables, of some 30 kB each, are held at once.
TOGETHER = 2000

Floats = npt.NDArray[np.float64]


def one_centre_coefficients(
    structure: Structure, grid: PeriodicGrid, terms: Sequence[OneCentre], h: npt.NDArray[np.int64]
) -> npt.NDArray[np.complex128]:
    """Coefficients in e/Å³ of one-centre densities at Miller indices ``h`` (M, 3) of the grid's cell."""
    total: npt.NDArray[np.complex128] = np.zeros(len(h), dtype=complex)
    fractional = structure.atoms.get_scaled_positions(wrap=False)
    g = h @ grid.reciprocal
    length = np.linalg.norm(g, axis=1)
    order = np.argsort(length, kind="stable")
    for members in _groups(terms):
        transforms = RadialTransforms(members)
        phases = Phases(h, fractional[[term.atom for term in members]])
        width = SHELL / (2.0 * np.pi * transforms.reach)
        edges = np.flatnonzero(np.diff(np.floor(length[order] / width), prepend=-1.0, append=np.inf))
        for start, stop in pairwise(edges):
            shell = order[start:stop]
            nodes, tables = transforms.shell(float(np.floor(length[shell[0]] / width)) * width, width)
            step = max(1, PAIRS // len(members))
            for first in range(0, len(shell), step):
                part = shell[first : first + step]
                total[part] += phases.sum(part, _shapes(g[part], length[part], nodes, tables))
    return total * (4.0 * np.pi / grid.volume)


def _groups(terms: Sequence[OneCentre]) -> Iterator[list[OneCentre]]:
    """Terms with the same radii and lmax, `TOGETHER` at most; they may be made as they are asked for."""
    groups: dict[tuple[bytes, int], list[OneCentre]] = {}
    for term in terms:
        key = (np.asarray(term.radii, dtype=float).tobytes(), term.lmax)
        groups.setdefault(key, []).append(term)
        if len(groups[key]) == TOGETHER:
            yield groups.pop(key)
    yield from groups.values()


class RadialTransforms:
    """∫ r² j_l(2πgr) R_lm(r) dr of densities on equal radii, whose tables are taken as cubic splines.

    Parameters
    ----------
    terms : sequence of OneCentre
        With the same radii and lmax.
    """

    def __init__(self, terms: Sequence[OneCentre]) -> None:
        radii = np.asarray(terms[0].radii, dtype=float)
        self._radii = radii.tobytes()
        values = np.stack([term.values for term in terms], axis=-1)  # lm, radius, atom
        self._values = [values[l * l : (l + 1) ** 2] for l in range(terms[0].lmax + 1)]
        self.reach = float(radii[-1])

    def shell(self, start: float, width: float) -> tuple[Floats, list[Floats]]:
        """Nodes (1/Å) between ``start`` and ``start + width``, and per l the transforms there, (2l + 1, nodes, N)."""
        nodes, kernels = _kernels(self._radii, len(self._values) - 1, start, width)
        return nodes, [kernel @ values for kernel, values in zip(kernels, self._values, strict=True)]


@lru_cache(KEPT)
def _kernels(radii: bytes, lmax: int, start: float, width: float) -> tuple[Floats, list[Floats]]:
    """Nodes of a shell, and per l what a transform is of the values at radii, (nodes, Nr): that of any atom.

    They are kept, as the members of an ensemble ask for the same ones again.
    """
    r, spline = _splines(radii)
    nodes = start + 0.5 * width * (1.0 - np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES))
    return nodes, [j @ spline for j in spherical_bessel(lmax, 2.0 * np.pi * nodes[:, None] * r)]


@lru_cache(8)
def _splines(radii: bytes) -> tuple[Floats, Floats]:
    """Points of a quadrature, and the weights with which values at radii enter there."""
    from scipy.interpolate import CubicSpline

    known = np.frombuffer(radii)
    r, weights = _panels(known)
    return r, CubicSpline(known, np.eye(len(known)))(r) * (weights * r**2)[:, None]


class Phases:
    """exp(−2πi h·f) of atoms at fractional positions (N, 3), as products of three tables; indices h (M, 3)."""

    def __init__(self, h: npt.NDArray[np.int64], fractional: Floats) -> None:
        lowest = h.min(axis=0, initial=0)
        self._index = h - lowest
        self._tables = [
            np.exp(-2j * np.pi * np.outer(np.arange(low, high + 1), f))
            for low, high, f in zip(lowest, h.max(axis=0, initial=0), fractional.T, strict=True)
        ]

    def sum(self, rows: npt.NDArray[np.int64], shapes: tuple[Floats, Floats]) -> npt.NDArray[np.complex128]:
        """Σ over atoms of (real + i imaginary) shapes, each (M, N), times the phases of ``rows`` of the indices."""
        i, j, k = self._index[rows].T
        phase = self._tables[0][i]
        phase *= self._tables[1][j]
        phase *= self._tables[2][k]
        own = np.empty_like(phase)
        own.real, own.imag = shapes
        return np.einsum("mn,mn->m", phase, own)


def _shapes(g: Floats, length: Floats, nodes: Floats, tables: list[Floats]) -> tuple[Floats, Floats]:
    """Real and imaginary part of the transforms about the nuclei, (M, N): of even and of odd l."""
    lagrange = _lagrange(nodes, length)
    angular = real_harmonics(g, len(tables) - 1)
    parts = []
    for parity in (0, 1):
        wanted = range(parity, len(tables), 2)
        if not wanted:
            parts.append(np.zeros((len(g), tables[0].shape[-1])))
            continue
        signs = {l: (-1.0) ** ((l + parity) // 2) for l in wanted}
        own = np.concatenate([signs[l] * angular[:, l * l : (l + 1) ** 2] for l in wanted], axis=1)
        basis = (own[:, :, None] * lagrange[:, None, :]).reshape(len(g), -1)
        parts.append(basis @ np.concatenate([tables[l].reshape(-1, tables[l].shape[-1]) for l in wanted]))
    return parts[0], parts[1]


def _lagrange(nodes: Floats, x: Floats) -> Floats:
    """Polynomials (M, nodes) that are 1 at one node and 0 at the others."""
    result = np.ones((len(x), len(nodes)))
    for p, node in enumerate(nodes):
        for other in np.delete(nodes, p):
            result[:, p] *= (x - other) / (node - other)
    return result


def spherical_bessel(lmax: int, x: Floats) -> list[Floats]:
    """j_l(x), l = 0 … lmax, of x >= 0 to 1e-12: by recurrence upwards in l where x > lmax, where that is stable."""
    from scipy.special import spherical_jn

    large = np.maximum(x, lmax + 1.0)
    sine = np.sin(large) / large
    found = [sine, (sine - np.cos(large)) / large]
    for l in range(1, lmax):
        found.append((2 * l + 1) / large * found[l] - found[l - 1])
    small = x < large
    if small.any():
        for l, values in enumerate(found[: lmax + 1]):
            values[small] = spherical_jn(l, x[small])
    return found[: lmax + 1]


def _panels(radii: Floats) -> tuple[Floats, Floats]:
    """Gauss–Legendre points and weights, four per interval between radii, from zero."""
    edges = radii if radii[0] == 0.0 else np.concatenate([[0.0], radii])
    x, w = np.polynomial.legendre.leggauss(4)
    half = np.diff(edges) / 2.0
    return (edges[:-1] + half + half * x[:, None]).T.ravel(), (half * w[:, None]).T.ravel()
