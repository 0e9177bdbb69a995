"""One-centre densities as Gaussians: the wide ones for a grid, the potential of the sharp ones in closed form.

Radial tables are fitted by Gaussians r^l exp(−r²/2σ²). Those wider than s go on the density's grid as they are. A
sharp one hands its multipole moment to one of width s; what is left has a potential without a tail, a mixture of
Gaussians again,

    φ_σ(r) − φ_s(r) = −(e/ε0) C_l r^l ∫_{1/s}^{1/σ} t^(2l) exp(−r²t²/2) dt,    1/C_l = (2l+1) 2^(l−½) Γ(l+½),

for unit moment ∫ r^(l+2) R dr = 1 (apply ∇² to see it; l = 0 is the error function). Slices of Gaussians are closed
forms. Compensating charges are the idea of PAW (P. E. Blöchl, Phys. Rev. B 50, 17953 (1994)).
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.compiled import compiled
from rhotem.core.threads import available_threads
from rhotem.core.units import EPS0
from rhotem.density.field import OneCentre
from rhotem.density.harmonics import LMAX, real_harmonics

#: Width s in steps of the density's grid: 1e-7 of it, also for l = 4, is beyond the grid's Nyquist frequency.
WIDTH = 2.2
#: Narrowest Gaussian in Å, widest in units of the last radius of the tables, and how many below and from s on.
NARROWEST, WIDEST, SHARP, WIDE = 0.06, 0.42, 12, 7
#: Exponents (a, b, c) of x^a y^b z^c in the order in which the kernel sums them: c fastest.
POWERS = tuple((a, b, c) for b in range(LMAX + 1) for a in range(LMAX + 1 - b) for c in range(LMAX + 1 - a - b))
#: Atoms split at once.
AT_ONCE = 2000
#: Of them, those whose fit is looked at.
SAMPLED = 100
#: Weight of the multipole moment against the potential within the fit.
TAIL_WEIGHT = 1e2
#: Points of the integral over t between neighbouring widths.
NODES = 2
#: Gaussians end here, in σ.
END = 6.5


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Σ_k p_k(x, y, z) exp(−r²/2σ_k²) around atoms.

    Parameters
    ----------
    positions : (N, 3) array
        Å, in an orthogonal cell.
    sigma : (K,) array
        Å.
    polynomials : (N, K, 35) array
        Coefficients of x^a y^b z^c in the order of `POWERS`.
    """

    positions: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]
    polynomials: npt.NDArray[np.float64]

    def integral(self) -> float:
        """Sum over all atoms of ∫ d³r."""
        powers = np.array(POWERS)
        # mean of x^a in a Gaussian: 1, 0, σ², 0, 3σ⁴
        means = np.array([1.0, 0.0, 1.0, 0.0, 3.0])[powers].prod(axis=1) * self.sigma[:, None] ** powers.sum(axis=1)
        volumes = (2.0 * np.pi) ** 1.5 * self.sigma**3
        return float(((self.polynomials.sum(0) * means).sum(axis=1) * volumes).sum())

    def turned(self, rotation: npt.NDArray[np.float64]) -> "Gaussians":
        """Each about its own centre by R, r' = R r."""
        if np.allclose(rotation, np.eye(3), rtol=0, atol=1e-12):
            return self
        points = np.array(list(product((-2.0, -1.0, 0.0, 1.0, 2.0), repeat=3)))
        before, after = (np.prod(v[:, None] ** np.array(POWERS), axis=2) for v in (points @ rotation, points))
        change = np.linalg.lstsq(after, before, rcond=None)[0].T
        return Gaussians(self.positions, self.sigma, self.polynomials @ change)

    def smeared(self, msd: float) -> "Gaussians":
        """Folded with a Gaussian of variance ``msd`` (Å²), for solid harmonics: σ² + msd, amplitude (σ/σ')^(2l+3)."""
        if msd == 0.0:
            return self
        sigma = np.sqrt(self.sigma**2 + msd)
        share = (self.sigma / sigma)[:, None] ** (2 * np.sum(POWERS, axis=1) + 3)
        return Gaussians(self.positions, sigma, self.polynomials * share)


class Splitter:
    """Linear maps from tables of one-centre densities to Gaussians.

    Parameters
    ----------
    radii : (Nr,) array
        Of the tables, Å.
    lmax : int
    step : float
        Largest step of the grid for the wide ones, Å.

    Attributes
    ----------
    short_sigma, wide_sigma : arrays
        Widths in Å.

    Raises
    ------
    InputError
        If angular momenta above 4 occur.
    """

    def __init__(self, radii: npt.NDArray[np.float64], lmax: int, step: float) -> None:
        if lmax > LMAX:
            raise InputError(f"one-centre densities with l = {lmax}: streaming knows up to l = {LMAX}")
        width = WIDTH * step
        self.wide_sigma = np.geomspace(width, max(WIDEST * float(radii[-1]), 1.2 * width), WIDE)
        sharp = np.geomspace(min(NARROWEST, 0.5 * width), width, SHARP + 1)[:-1]
        x, w = np.polynomial.legendre.leggauss(NODES)
        ends = 1.0 / np.append(sharp, width)
        half = 0.5 * (ends[:-1] - ends[1:])
        nodes = (0.5 * (ends[:-1] + ends[1:])[:, None] + half[:, None] * x).ravel()
        weights = (half[:, None] * w).ravel()
        self.short_sigma = 1.0 / nodes
        # an integral from 1/s to 1/σ_k runs over the intervals of all widths from σ_k to s
        runs_over = np.repeat(np.arange(SHARP), NODES)[:, None] >= np.arange(SHARP)
        self._fits = [_fit(radii, np.concatenate([sharp, self.wide_sigma]), l) for l in range(lmax + 1)]
        self.short_maps, self.wide_maps = [], []
        for l, fit in enumerate(self._fits):
            moments = 1.0 / _normalisation(sharp, l)
            handed = moments[:, None] * fit.map[:SHARP]
            scale = -(nodes ** (2 * l) * weights) / (EPS0 * (2 * l + 1) * 2.0 ** (l - 0.5) * math.gamma(l + 0.5))
            self.short_maps.append(scale[:, None] * (runs_over @ handed))
            wide = fit.map[SHARP:].copy()
            # all of the exact moment that the wide ones lack: the tail is right whatever the fit
            rest = fit.moment - (1.0 / _normalisation(self.wide_sigma, l)) @ wide
            wide[0] += _normalisation(self.wide_sigma[:1], l)[0] * rest
            self.wide_maps.append(wide)

    def split(self, values: Sequence[npt.NDArray[np.float64]]) -> tuple[npt.NDArray, npt.NDArray]:
        """Coefficients of r^l exp(−r²/2σ²) Y_lm, (N, widths, lm): of the short potential in V, of wide charges."""
        components = (LMAX + 1) ** 2
        short = np.zeros((len(values), len(self.short_sigma), components))
        wide = np.zeros((len(values), WIDE, components))
        for n, table in enumerate(values):
            for l in range(math.isqrt(len(table) - 1) + 1):
                part = slice(l * l, (l + 1) ** 2)
                short[n, :, part] = self.short_maps[l] @ table[part].T
                wide[n, :, part] = self.wide_maps[l] @ table[part].T
        return short, wide

    def residual(self, values: npt.NDArray[np.float64]) -> float:
        """Largest error in V of the fit to one density, l by l."""
        parts = [values[l * l : (l + 1) ** 2].T for l in range(len(self._fits))]
        return max(float(np.abs(fit.error @ v).max()) for fit, v in zip(self._fits, parts, strict=True) if v.size)


@dataclass(frozen=True, eq=False)
class _Fit:
    """Matrices on radial tables of one l: to coefficients of Gaussians, to the moment, to the potential's error."""

    map: npt.NDArray[np.float64]
    moment: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]


def _fit(radii: npt.NDArray[np.float64], sigma: npt.NDArray[np.float64], l: int) -> _Fit:
    """Gaussians of given widths whose potential is nearest to that of a table's spline, over volume."""
    from scipy.interpolate import CubicSpline

    edges = radii if radii[0] == 0.0 else np.concatenate([[0.0], radii])
    reach = END * float(sigma.max())
    if reach > edges[-1]:
        edges = np.concatenate([edges, np.linspace(edges[-1], reach, 30)[1:]])
    x, w = np.polynomial.legendre.leggauss(3)
    half = np.diff(edges) / 2.0
    r = (edges[:-1, None] + half[:, None] * (1.0 + x)).ravel()
    weights = (half[:, None] * w).ravel()
    spline = CubicSpline(radii, np.eye(len(radii)))(r) * (r <= radii[-1])[:, None]
    poisson = _poisson(edges, r, weights, l)
    basis = poisson @ (r[:, None] ** l * np.exp(-0.5 * (r[:, None] / sigma) ** 2))
    wanted = poisson @ spline
    scale = (np.sqrt(np.gradient(edges)) * edges)[:, None]
    # one more row: the tail at the end of the table, held exact by its weight
    tail = TAIL_WEIGHT * radii[-1] ** (1.5 - l - 1) / (EPS0 * (2 * l + 1))
    moment = (weights * r ** (l + 2)) @ spline
    rows = np.concatenate([scale * basis, tail / _normalisation(sigma, l)[None]])
    solved = np.linalg.lstsq(rows, np.concatenate([scale * wanted, tail * moment[None]]), rcond=1e-13)[0]
    return _Fit(solved, moment, basis @ solved - wanted)


def _normalisation(sigma: npt.NDArray[np.float64], l: int) -> npt.NDArray[np.float64]:
    """1/∫ r^(2l+2) exp(−r²/2σ²) dr."""
    return 1.0 / (2.0 ** (l + 0.5) * math.gamma(l + 1.5) * sigma ** (2 * l + 3))


def split_one_centre(
    terms: Sequence[OneCentre], positions: npt.NDArray[np.float64], atoms: npt.NDArray[np.int64], step: float
) -> tuple[list[Gaussians], list[Gaussians], float]:
    """Short-ranged potential in V, wide charges in e/Å³, and the fit's largest error in V, of some of the terms.

    Parameters
    ----------
    terms : sequence of OneCentre
    positions : (N, 3) array
        Of all atoms.
    atoms : (M,) int array
        Indices into ``terms``.
    step : float
        Largest step of the grid the charges go to, Å.
    """
    groups: dict[tuple[bytes, int], list[int]] = {}
    for index in atoms:
        term = terms[int(index)]
        groups.setdefault((np.asarray(term.radii, dtype=float).tobytes(), term.lmax), []).append(int(index))
    monomials = _monomials()
    parts, error = [], 0.0
    for members in groups.values():
        first = terms[members[0]]
        splitter = Splitter(np.asarray(first.radii, dtype=float), first.lmax, step)
        for start in range(0, len(members), AT_ONCE):
            own = [terms[i] for i in members[start : start + AT_ONCE]]
            # elements often follow one another: a sample from all of them
            sample = own[:: -(-len(own) // SAMPLED)]
            error = max(error, *(splitter.residual(term.values) for term in sample))
            place = positions[[term.atom for term in own]]
            sigmas = (splitter.short_sigma, splitter.wide_sigma)
            split = (c @ monomials for c in splitter.split([term.values for term in own]))
            parts.append([Gaussians(place, s, c) for s, c in zip(sigmas, split, strict=True)])
    return [p[0] for p in parts], [p[1] for p in parts], error


def add_to_plane(
    out: npt.NDArray[np.float64], gaussians: Gaussians, lengths: npt.NDArray[np.float64], z: tuple[float, float]
) -> None:
    """Add Gaussians to a plane (n_x, n_y) of an orthogonal periodic cell.

    ``z``: heights in Å of a slice's two faces, over which is integrated; equal heights: the values at that height.
    """
    threads = available_threads()
    reach = END * float(gaussians.sigma.max())
    depth = 0.5 * (z[0] + z[1]) - gaussians.positions[:, 2]
    thick = 0.5 * (z[1] - z[0])
    images = range(-int(np.ceil((reach + thick) / lengths[2])), int(np.ceil((reach + thick) / lengths[2])) + 1)
    depth = depth - np.rint(depth / lengths[2]) * lengths[2]
    edges = np.unique(np.linspace(0, len(out), 4 * threads + 1 if threads > 1 else 2).astype(int))
    for image in images:
        from_atom = depth + image * lengths[2]
        near = np.flatnonzero(np.abs(from_atom) < reach + thick)
        if not len(near):
            continue
        faces = np.stack([from_atom[near] - thick, from_atom[near] + thick], axis=1)
        given = (gaussians.positions[near, :2], gaussians.sigma, gaussians.polynomials[near])

        def work(start: int, stop: int, faces: npt.NDArray = faces, given: tuple = given) -> None:
            _patches(out[start:stop], (start, len(out)), lengths[:2], given, faces)

        with ThreadPoolExecutor(threads) as pool:
            for job in [pool.submit(work, a, b) for a, b in pairwise(edges)]:
                job.result()


def _poisson(
    targets: npt.NDArray[np.float64], r: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], l: int
) -> npt.NDArray[np.float64]:
    """Matrix from electron densities R_l(r) Y to their potentials in V at ``targets``, edges of the panels of r.

    v(ρ) = −e/(ε0 (2l+1)) [ρ^(−l−1) ∫_0^ρ s^(l+2) R ds + ρ^l ∫_ρ^∞ s^(1−l) R ds]
    """
    rho = targets[:, None]
    inside = r < rho
    ratio = np.divide(r, rho, out=np.zeros((len(targets), len(r))), where=inside)
    inner = np.where(inside, ratio ** (l + 1) * r, 0.0)
    outer = np.where(inside, 0.0, (rho / r) ** l * r)
    return -(inner + outer) * weights / (EPS0 * (2 * l + 1))


def _monomials() -> npt.NDArray[np.float64]:
    """r^l Y_lm as polynomials: (lm, 35), coefficients in the order of `POWERS`."""
    points = np.array(list(product((-2.0, -1.0, 0.0, 1.0, 2.0), repeat=3)))
    r = np.linalg.norm(points, axis=1)
    harmonics = real_harmonics(points, LMAX)
    result = np.zeros(((LMAX + 1) ** 2, len(POWERS)))
    for l in range(LMAX + 1):
        own = [i for i, powers in enumerate(POWERS) if sum(powers) == l]
        values = np.stack([np.prod(points ** np.array(POWERS[i]), axis=1) for i in own], axis=1)
        part = slice(l * l, (l + 1) ** 2)
        result[part, own] = np.linalg.lstsq(values, harmonics[:, part] * (r**l)[:, None], rcond=None)[0].T
    return result


@compiled(exact=True)
def _depths(low, high, sigma, out):  # type: ignore[no-untyped-def]  # compiled
    """∫ z^c exp(−z²/2σ²) dz from low to high, or the value at low if they are equal; c = 0 … 4."""
    a, b = math.exp(-0.5 * (low / sigma) ** 2), math.exp(-0.5 * (high / sigma) ** 2)
    if low == high:
        power = 1.0
        for c in range(5):
            out[c] = power * a
            power *= low
        return
    s2 = sigma * sigma
    root = math.sqrt(2.0) * sigma
    out[0] = sigma * math.sqrt(math.pi / 2.0) * (math.erf(high / root) - math.erf(low / root))
    out[1] = s2 * (a - b)
    for c in range(2, 5):
        out[c] = s2 * (low ** (c - 1) * a - high ** (c - 1) * b) + (c - 1) * s2 * out[c - 2]


@compiled
def _patches(out, rows, lengths, atoms, faces):  # type: ignore[no-untyped-def]  # compiled: numba types it
    first, n_x = rows
    positions, sigma, polynomials = atoms
    count, n_y = out.shape
    d_x, d_y = lengths[0] / n_x, lengths[1] / n_y
    depth, flat, along = np.empty(5), np.empty((5, 5)), np.empty(5)
    widest = int(2.0 * END * sigma.max() / d_y) + 3
    line, y, gauss = np.empty(widest), np.empty(widest), np.empty(widest)
    for n in range(len(positions)):
        for k in range(len(sigma)):
            reach = END * sigma[k]
            if faces[n, 0] > reach or faces[n, 1] < -reach:
                continue
            _depths(faces[n, 0], faces[n, 1], sigma[k], depth)
            at = 0
            for b in range(5):
                for a in range(5 - b):
                    total = 0.0
                    for c in range(5 - a - b):
                        total += polynomials[n, k, at + c] * depth[c]
                    flat[b, a] = total
                    at += 5 - a - b
            low = int(np.ceil((positions[n, 1] - reach) / d_y))
            points = int(np.floor((positions[n, 1] + reach) / d_y)) - low + 1
            for j in range(points):
                y[j] = (low + j) * d_y - positions[n, 1]
                gauss[j] = math.exp(-0.5 * (y[j] / sigma[k]) ** 2)
            start = int(np.ceil((positions[n, 0] - reach) / d_x))
            for i in range(start, int(np.floor((positions[n, 0] + reach) / d_x)) + 1):
                row = (i - first) % n_x
                if row >= count:
                    continue
                x = i * d_x - positions[n, 0]
                factor = math.exp(-0.5 * (x / sigma[k]) ** 2)
                for b in range(5):
                    total = 0.0
                    for a in range(4 - b, -1, -1):
                        total = total * x + flat[b, a]
                    along[b] = total * factor
                p0, p1, p2, p3, p4 = along
                for j in range(points):
                    line[j] = gauss[j] * (p0 + y[j] * (p1 + y[j] * (p2 + y[j] * (p3 + y[j] * p4))))
                target = out[row]
                done, column = 0, low % n_y
                while done < points:
                    piece = min(points - done, n_y - column)
                    for j in range(piece):
                        target[column + j] += line[done + j]
                    done += piece
                    column = 0
