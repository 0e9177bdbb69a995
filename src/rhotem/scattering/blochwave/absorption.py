r"""Absorption by thermal diffuse scattering: what phonons take out of the elastic beams, from the atoms' form factors.

An atom that moves independently of all others (Einstein model, isotropic ⟨u²⟩) adds to the optical potential

    f'(g) = ∫ d²q f_e(|g/2 + q|) f_e(|g/2 − q|) [exp(−2π²⟨u²⟩ g²) − exp(−2π²⟨u²⟩ (2q² + g²/2))]

over the plane of scattering vectors q up to 2/λ; the Debye–Waller factor of g is within. C. R. Hall, P. B. Hirsch,
Proc. R. Soc. Lond. A 286, 158 (1965); D. M. Bird, Q. A. King, Acta Cryst. A 46, 202 (1990); A. Weickenmeier, H. Kohl,
Acta Cryst. A 47, 590 (1991). Published values for silicon follow within 0.3 % (tests/scattering/test_blochwave.py).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rhotem.core.units import ELECTRON_REST_ENERGY, wavelength
from rhotem.potential.parametrizations import FormFactor, form_factor

Array = npt.NDArray[np.float64]

#: Ends in 1/Å of the pieces of q, points of the Gauss–Legendre rule of each, and points of a quadrant.
PIECES = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 40.0)
RADIAL, ANGULAR = 16, 48
#: Distance of nodes and least reach in 1/Å of the table of f'(g); radii of the table of form factors.
NODE, REACH, RADII = 0.05, 8.0, 1201


def absorptive_form_factor(
    f_e: FormFactor, z: int, g: npt.ArrayLike, msd: float, q_max: float = 80.0
) -> npt.NDArray[np.float64]:
    """The integral f'(g) of the module's formula, without unit.

    Parameters
    ----------
    f_e : FormFactor
        Electron form factors in Å.
    z : int
        Atomic number.
    g : array
        |g| in 1/Å.
    msd : float
        ⟨u²⟩ along one axis in Å².
    q_max : float
        Largest scattering vector in 1/Å: 2/λ.
    """
    size = np.asarray(g, dtype=float)
    ends = np.array([*(p for p in PIECES if p < q_max), q_max])
    x, weights = np.polynomial.legendre.leggauss(RADIAL)
    half, middle = 0.5 * np.diff(ends)[:, None], 0.5 * (ends[1:] + ends[:-1])[:, None]
    q, dq = (half * x + middle).ravel(), (half * weights).ravel()
    y, quadrant = np.polynomial.legendre.leggauss(ANGULAR)
    cosine, dphi = np.cos(0.25 * np.pi * (y + 1.0)), np.pi * quadrant
    factor = _radial(f_e, z, q_max + size.max(initial=0.0))
    result = np.empty(size.shape)
    for place, value in np.ndenumerate(size):
        base, across = q[:, None] ** 2 + 0.25 * value**2, value * q[:, None] * cosine
        product = factor(np.sqrt(base + across)) * factor(np.sqrt(np.maximum(base - across, 0.0)))
        elastic = np.exp(-2.0 * np.pi**2 * msd * (2.0 * q**2 + 0.5 * value**2))
        lost = np.exp(-2.0 * np.pi**2 * msd * value**2) - elastic
        result[place] = (dq * q * lost) @ (product @ dphi)
    return result


def thermal_absorption(
    numbers: npt.ArrayLike, msd: npt.ArrayLike, g: Array, energy: float, parametrization: str | FormFactor = "pbe"
) -> npt.NDArray[np.float64]:
    """What each atom adds to Ω·U'_g, in Å: γ² λ f'(g) / 2π, shape (N, M).

    Parameters
    ----------
    numbers, msd : (N,) arrays
        Atomic numbers and ⟨u²⟩ along one axis in Å².
    g : (M,) array
        |g| in 1/Å.
    energy : float
        Beam energy in eV.
    parametrization : str or FormFactor
        Free atoms; the few electrons that bonding moves do not count here.
    """
    gamma = 1.0 + energy / ELECTRON_REST_ENERGY
    reach = REACH * max(1.0, np.ceil(np.max(g, initial=0.0) / REACH))
    each = [
        _table(parametrization, int(z), float(u2), 2.0 / wavelength(energy), reach)(g)
        for z, u2 in zip(np.asarray(numbers), np.asarray(msd, dtype=float), strict=True)
    ]
    return np.asarray(gamma**2 * wavelength(energy) / (2.0 * np.pi) * np.array(each))


@lru_cache(maxsize=64)
def _table(
    parametrization: str | FormFactor, z: int, msd: float, q_max: float, reach: float
) -> Callable[[Array], Array]:
    """f'(g) up to ``reach`` in 1/Å, which is smooth, as a cubic spline."""
    from scipy.interpolate import CubicSpline

    nodes = np.arange(0.0, reach + 1.5 * NODE, NODE)
    spline: Callable[[Array], Array] = CubicSpline(
        nodes, absorptive_form_factor(form_factor(parametrization), z, nodes, msd, q_max)
    )
    return spline


def _radial(f_e: FormFactor, z: int, reach: float) -> Callable[[Array], Array]:
    """A form factor up to ``reach`` as a cubic spline in the root of g: the integral asks for it millions of times."""
    from scipy.interpolate import CubicSpline

    root = np.linspace(0.0, np.sqrt(reach), RADII)
    spline = CubicSpline(root, f_e(z, root**2))
    return lambda g: np.asarray(spline(np.sqrt(g)))
