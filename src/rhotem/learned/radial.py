"""Radial functions: Gaussians r^l exp(−r²/2σ²) with a smooth end for readouts, Bessel functions for edges."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Block:
    """A set of radial functions with a common reach.

    Parameters
    ----------
    narrowest, widest : float
        σ of the first and last Gaussian in Å; the others in geometric progression.
    functions : int
        Number of Gaussians per angular momentum.
    lmax : int
    cutoff : float
        Radius in Å where all end, by the factor (1 − r²/r_c²)³: value and two derivatives vanish.
    """

    narrowest: float
    widest: float
    functions: int
    lmax: int
    cutoff: float

    @cached_property
    def sigma(self) -> npt.NDArray[np.float64]:
        """Widths in Å."""
        return np.geomspace(self.narrowest, self.widest, self.functions)

    @property
    def coefficients(self) -> int:
        """Coefficients per atom."""
        return self.functions * (self.lmax + 1) ** 2

    def radial(self, r: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """exp(−r²/2σ²) times the smooth end at radii r (Å); (functions, M). The function of l is r^l times that."""
        end = np.clip(1.0 - (r / self.cutoff) ** 2, 0.0, None) ** 3
        return np.exp(-0.5 * (r / self.sigma[:, None]) ** 2) * end

    @cached_property
    def quadrature(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Points and weights on (0, cutoff): Gauss–Legendre in √r, exact to 1e-12 for these functions."""
        x, w = np.polynomial.legendre.leggauss(200)
        t = 0.5 * (x + 1.0) * math.sqrt(self.cutoff)
        return t**2, w * 0.5 * math.sqrt(self.cutoff) * 2.0 * t

    def orthonormal(self, l: int) -> npt.NDArray[np.float64]:
        """Matrix T so that Σ_n T[n, k] r^l G_n(r) are orthonormal under r² dr, sharpest combinations last.

        Löwdin's symmetric form with the smallest eigenvalues bounded: T is well conditioned, so equal changes of
        coefficients are equal changes of density. That makes training fast.
        """
        r, w = self.quadrature
        f = self.radial(r) * r**l
        norm = np.sqrt((w * r**2 * f**2).sum(1))
        f /= norm[:, None]
        overlap = (w * r**2 * f) @ f.T
        values, vectors = np.linalg.eigh(overlap)
        return (vectors / np.sqrt(np.maximum(values, 1e-3 * values.max()))) @ vectors.T / norm[:, None]

    @cached_property
    def electrons(self) -> npt.NDArray[np.float64]:
        """∫ G_n(r) Y_00 d³r = √(4π) ∫ r² G_n dr in Å³, for l = 0; the others have none."""
        r, w = self.quadrature
        return math.sqrt(4.0 * math.pi) * (self.radial(r) * (w * r**2)).sum(1)

    @cached_property
    def dipoles(self) -> npt.NDArray[np.float64]:
        """∫ z G_n(r) r Y_10 d³r = √(4π/3) ∫ r⁴ G_n dr in Å⁵, for l = 1, along the axis of m; the others have none."""
        r, w = self.quadrature
        return math.sqrt(4.0 * math.pi / 3.0) * (self.radial(r) * (w * r**4)).sum(1)

    def transform(self, g: npt.NDArray[np.float64], l: int) -> npt.NDArray[np.float64]:
        """4π ∫ r^{2+l} G_n(r) j_l(2πgr) dr: the Fourier transform of the function of l is (−i)^l Y_lm(ĝ) times it."""
        from scipy.special import spherical_jn

        r, w = self.quadrature
        return 4.0 * math.pi * (self.radial(r) * (w * r ** (2 + l))) @ spherical_jn(l, 2.0 * math.pi * np.outer(r, g))


def bessel(r: npt.NDArray, count: int, cutoff: float) -> npt.NDArray:
    """√(2/r_c) sin(kπr/r_c)/r, k = 1…count; (M, count) (Gasteiger et al., DimeNet, ICLR 2020, eq. 7)."""
    k = np.arange(1, count + 1, dtype=r.dtype) * r.dtype.type(math.pi / cutoff)
    waves: npt.NDArray = np.sin(k * r[:, None]) / r[:, None] * r.dtype.type(math.sqrt(2.0 / cutoff))
    return waves


def end_function(u: npt.NDArray) -> npt.NDArray:
    """1 − 28u⁶ + 48u⁷ − 21u⁸ for u <= 1, zero beyond, two vanishing derivatives at 1 (DimeNet, eq. 8, p = 6)."""
    v = np.minimum(u, 1.0)
    v6 = (v * v * v) ** 2
    return 1.0 + v6 * (-28.0 + v * (48.0 - 21.0 * v))


def geometric_weight(u: npt.NDArray) -> npt.NDArray:
    """1 + u³(−6u² + 15u − 10) for 0 <= u <= 1, zero beyond: flat at 0, two vanishing derivatives at 1."""
    v = np.minimum(u, 1.0)
    return 1.0 + v**3 * (-6.0 * v**2 + 15.0 * v - 10.0)
