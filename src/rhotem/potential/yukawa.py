"""A free atom's potential cut by a plane: what of it lies beyond the plane, at every in-plane frequency.

The form factor is written as a sum of Yukawa terms, f_e(k) = Σ_i c_i / (k² + μ_i²). Its transform along z alone,

    φ(g, z) = ∫ f_e(√(g² + q²)) exp(2πi q z) dq = Σ_i c_i (π/κ_i) exp(−2π κ_i |z|),   κ_i² = g² + μ_i²,

and the part of the atom beyond a plane at distance d,

    T(g, d) = ∫_d^∞ φ(g, z) dz = Σ_i c_i exp(−2π κ_i d) / (2 κ_i²),   T(g, 0) = f_e(g)/2,

are then closed forms, with no sum over frequencies along the beam to truncate.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.potential.parametrizations import FormFactor

#: Screening parameters μ in 1/Å: from the tail of alkali atoms to beyond the 1s shell of the heaviest.
SCREENING = np.geomspace(0.06, 100.0, 52)
#: Largest relative misfit of f_e(k), 0 <= k <= 60 /Å, that is accepted; the PBE table reaches 3e-6 (Li).
MISFIT = 1e-5


@dataclass(frozen=True, eq=False)
class ScreenedAtom:
    """Yukawa terms of one element's electron form factor.

    Parameters
    ----------
    coefficients : (52,) array
        c_i in 1/Å, for the screening parameters ``SCREENING``.
    misfit : float
        Largest relative deviation from the table the terms were fitted to.
    """

    coefficients: npt.NDArray[np.float64]
    misfit: float

    def form_factor(self, g: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """f_e(g) in Å."""
        return (self.coefficients / (np.asarray(g)[..., None] ** 2 + SCREENING**2)).sum(-1)

    def beyond(self, g: npt.NDArray[np.float64], d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """T(g, d) in Å, shape (len(g), len(d)): the part beyond a plane at distance ``d`` >= 0 in Å."""
        kappa2 = np.asarray(g)[:, None] ** 2 + SCREENING**2
        decay = np.exp(-2.0 * np.pi * np.sqrt(kappa2)[:, :, None] * np.asarray(d))
        return np.einsum("gi,gid->gd", self.coefficients / (2.0 * kappa2), decay)

    def reach(self, tolerance: float) -> float:
        """Distance in Å beyond which less than ``tolerance`` of the atom's integrated potential lies."""
        d = np.linspace(0.0, 30.0, 301)
        tail = np.abs(self.beyond(np.zeros(1), d)[0])
        return float(d[min(np.flatnonzero(tail > tolerance * 2.0 * tail[0])[-1] + 1, len(d) - 1)])


@lru_cache(maxsize=256)
def screened_atom(f_e: FormFactor, z: int) -> ScreenedAtom:
    """Fit the Yukawa terms of element ``z`` to its form factor by linear least squares.

    Raises
    ------
    InputError
        If the form factor is not positive or cannot be fitted to ``MISFIT``: then it is not that of an atom.
    """
    k = np.concatenate([[0.0], np.geomspace(1e-2, 100.0, 600)])
    target = np.asarray(f_e(z, k), dtype=float)
    if not (np.isfinite(target).all() and (target > 0).all()):
        raise InputError(f"form factor of Z = {z} is not positive everywhere below 100 /Å; use another parametrization")
    design = 1.0 / (k[:, None] ** 2 + SCREENING**2) / target[:, None]
    scale = np.linalg.norm(design, axis=0)
    solution = np.linalg.lstsq(design / scale, np.ones(len(k)), rcond=1e-13)[0] / scale
    misfit = float(np.abs(design @ solution - 1.0)[k <= 60.0].max())
    if misfit > MISFIT:
        raise InputError(f"form factor of Z = {z} is not smooth: misfit {misfit:.1e}, at most {MISFIT:.0e} expected")
    return ScreenedAtom(solution, misfit)


@dataclass(frozen=True, eq=False)
class TailTable:
    """T(g, d)/f_e(g) for d in [near, far] as Σ_k A_k(g) B_k(d), negligible above g = ``cutoff``.

    Parameters
    ----------
    near, far : float
        Range of distances in Å.
    cutoff : float
        In-plane frequency in 1/Å above which T < tolerance · f_e on this range.
    radial : (n_g, K) array
        A_k at ``cutoff · t²``, t = 0 … 1 uniform.
    chebyshev : (M, K) array
        Chebyshev coefficients of B_k on [near, far].
    """

    near: float
    far: float
    cutoff: float
    radial: npt.NDArray[np.float64]
    chebyshev: npt.NDArray[np.float64]

    def weights(self, d: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """B_k(d), shape (len(d), K)."""
        x = (2.0 * d - self.near - self.far) / (self.far - self.near)
        return np.asarray(np.polynomial.chebyshev.chebval(x, self.chebyshev).T, dtype=np.float64)


@lru_cache(maxsize=256)
def tail_tables(atom: ScreenedAtom, g_max: float, tolerance: float = 1e-6) -> tuple[TailTable, ...]:
    """Separable tables of T(g, d)/f_e(g), relative error about ``tolerance`` everywhere below ``g_max``.

    The further from the plane, the smaller the disk of frequencies that still feels it: exp(−2πgd).
    """
    reach = atom.reach(tolerance)
    edges = [edge for edge in (0.0, 0.25, 0.5, 1.0, 2.0, 4.0) if edge < reach] + [reach]
    tables = []
    for near, far in pairwise(edges):
        t = np.linspace(0.0, 1.0, 401)
        g = g_max * t**2
        ratio = np.abs(atom.beyond(g, np.array([near]))[:, 0]) / atom.form_factor(g)
        cutoff = g[min(np.flatnonzero(ratio > tolerance)[-1] + 1, len(g) - 1)]
        tables.append(_tail_table(atom, (near, far), cutoff, tolerance))
    return tuple(tables)


def _tail_table(atom: ScreenedAtom, span: tuple[float, float], cutoff: float, tolerance: float) -> TailTable:
    near, far = span
    g = cutoff * np.linspace(0.0, 1.0, 401) ** 2
    degree = 24 + int(3.0 * cutoff * (far - near))
    nodes = np.cos(np.pi * (np.arange(degree) + 0.5) / degree)
    ratio = atom.beyond(g, 0.5 * (near + far + nodes * (far - near))) / atom.form_factor(g)[:, None]
    left, singular, right = np.linalg.svd(ratio, full_matrices=False)
    rank = max(1, int((singular > tolerance * np.sqrt(ratio.size) * 0.1).sum()))
    chebyshev = np.polynomial.chebyshev.chebfit(nodes, (singular[:rank, None] * right[:rank]).T, degree - 1)
    return TailTable(near, far, float(cutoff), left[:, :rank], chebyshev)
