"""Fourier coefficients of densities: grid part by FFT, one-centre parts and free atoms by Bessel transforms."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.harmonics import real_harmonics
from rhotem.structure.model import Structure

#: Electrons per atom that a superposition holds: all, GPAW's default valence, or a count by atomic number.
Electrons = Literal["valence"] | dict[int, float] | None

#: Step in rad of 2π g r_max between the knots of a radial transform; its spline is good to 1e-7.
PHASE_STEP = 0.1
CHUNK = 20_000


def coefficients(field: DensityField, h: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    """Fourier coefficients F_h of a density in e/Å³ (docs/conventions.md), all its parts included.

    The grid part is the band-limited function through the grid values; on the Nyquist planes of an even grid its one
    known coefficient is shared equally by +h and −h. Indices beyond get the one-centre parts only.

    Parameters
    ----------
    field : DensityField
    h : (M, 3) int array
        Miller indices of the field's cell.

    Returns
    -------
    (M,) complex array

    Raises
    ------
    InputError
        If ``h`` is not a list of integer triples.
    """
    indices = _indices(h)
    result = _grid_part(field.grid, field.values, indices)
    if field.one_centre:
        result += one_centre_coefficients(field.structure, field.grid, field.one_centre, indices)
    return result


def free_atom_coefficients(
    structure: Structure, h: npt.ArrayLike, electrons: Electrons = None
) -> npt.NDArray[np.complex128]:
    """Fourier coefficients in e/Å³ of the superposed free atoms, Σ f_x(g) exp(−2πi g·R)/Ω; exact at every h.

    Parameters
    ----------
    structure : Structure
    h : (M, 3) int array
    electrons : None, "valence" or dict
        All electrons, GPAW's default valence, or the electrons of the valence by atomic number.

    Raises
    ------
    InputError
        If ``h`` is not a list of integer triples, or an element has no such valence.
    """
    table = free_atoms.load()
    indices = _indices(h)
    g = np.linalg.norm(indices @ np.linalg.inv(structure.cell).T, axis=1)
    fractional = structure.atoms.get_scaled_positions(wrap=False)
    total: npt.NDArray[np.complex128] = np.zeros(len(indices), dtype=complex)
    for z in np.unique(structure.numbers):
        factor = table.x_ray_form_factor(int(z), g, electron_count(int(z), electrons))
        total += factor * _phase_sum(indices, fractional[structure.numbers == z])
    return total / structure.volume


def electron_count(Z: int, electrons: Electrons) -> float | None:
    """Electrons of element ``Z`` under ``electrons``; None for all of them."""
    if electrons is None:
        return None
    if isinstance(electrons, dict):
        if Z not in electrons:
            raise InputError(f"electrons: no count for Z = {Z}, got {electrons}; give one for every element")
        return electrons[Z]
    if electrons == "valence":
        return float(free_atoms.load().default_valence(Z))
    raise InputError(f"electrons: got {electrons!r}, expected None, 'valence' or {{atomic number: count}}")


def one_centre_coefficients(
    structure: Structure, grid: PeriodicGrid, terms: Sequence[OneCentre], h: npt.ArrayLike
) -> npt.NDArray[np.complex128]:
    """Coefficients of one-centre densities, (4π/Ω) Σ (−i)^l Y_lm(ĝ) exp(−2πi g·R) ∫ r² j_l(2πgr) R_lm(r) dr."""
    indices = _indices(h)
    g = indices @ grid.reciprocal
    length = np.linalg.norm(g, axis=1)
    fractional = structure.atoms.get_scaled_positions(wrap=False)
    radial = _radial_transforms(terms, float(length.max(initial=0.0)))
    total: npt.NDArray[np.complex128] = np.zeros(len(indices), dtype=complex)
    lmax = max(term.lmax for term in terms)
    powers = np.concatenate([np.full(2 * l + 1, (-1j) ** l) for l in range(lmax + 1)])
    for start in range(0, len(indices), CHUNK):
        part = slice(start, start + CHUNK)
        angular = real_harmonics(g[part], lmax) * powers
        for term, transform in zip(terms, radial, strict=True):
            shape = np.einsum("mj,mj->m", angular[:, : len(term.values)], transform(length[part]))
            total[part] += shape * np.exp(-2j * np.pi * (indices[part] @ fractional[term.atom]))
    return total * (4.0 * np.pi / grid.volume)


def _radial_transforms(terms: Sequence[OneCentre], g_max: float) -> list:
    """Splines in g of ∫ r² j_l(2πgr) R_lm(r) dr, one per term; Bessel functions shared by equal radial grids."""
    from scipy.interpolate import CubicSpline
    from scipy.special import spherical_jn

    bessel: dict[bytes, tuple] = {}
    result = []
    for term in terms:
        key = np.asarray(term.radii, dtype=float).tobytes()
        if key not in bessel or len(bessel[key][2]) <= term.lmax:
            r, weights = _panels(np.asarray(term.radii, dtype=float))
            # A spline needs a range, also where only h = 0 is asked for.
            end = max(g_max, 1e-3)
            knots = np.linspace(0.0, end, max(8, int(np.ceil(2 * np.pi * end * r[-1] / PHASE_STEP))))
            x = 2.0 * np.pi * knots[:, None] * r
            bessel[key] = (r, knots, [spherical_jn(l, x) * (weights * r**2) for l in range(term.lmax + 1)])
        r, knots, kernels = bessel[key]
        values = CubicSpline(term.radii, term.values, axis=1)(r)
        table = np.concatenate(
            [kernels[l] @ values[l * l : (l + 1) ** 2].T for l in range(term.lmax + 1)],
            axis=1,
        )
        result.append(CubicSpline(knots, table))
    return result


def _panels(radii: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gauss–Legendre points and weights, three per interval between radii, from zero."""
    edges = radii if radii[0] == 0.0 else np.concatenate([[0.0], radii])
    x, w = np.polynomial.legendre.leggauss(3)
    half = np.diff(edges) / 2.0
    return (edges[:-1] + half + half * x[:, None]).T.ravel(), (half * w[:, None]).T.ravel()


def _grid_part(grid: PeriodicGrid, values: npt.NDArray, h: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
    shape = np.array(grid.shape)
    inside = (2 * np.abs(h) <= shape).all(axis=1)
    result = np.zeros(len(h), dtype=complex)
    if not any(values.strides):  # one number broadcast over the grid: free atoms
        result[(h == 0).all(axis=1)] = values.flat[0]
        return result
    if not inside.any():
        return result
    known = np.fft.rfftn(values) / grid.size
    k = h[inside]
    flip = k[:, 2] < 0
    k = np.where(flip[:, None], -k, k)
    found = known[k[:, 0] % shape[0], k[:, 1] % shape[1], k[:, 2]]
    found = np.where(flip, found.conj(), found)
    result[inside] = found * 0.5 ** (2 * np.abs(k) == shape).sum(axis=1)
    return result


def _phase_sum(h: npt.NDArray[np.int64], fractional: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """Σ exp(−2πi h·f) over positions, in pieces that fit into memory."""
    total = np.zeros(len(h), dtype=complex)
    step = max(1, 4_000_000 // max(1, len(h)))
    for start in range(0, len(fractional), step):
        total += np.exp(-2j * np.pi * (h @ fractional[start : start + step].T)).sum(axis=1)
    return total


def _indices(h: npt.ArrayLike) -> npt.NDArray[np.int64]:
    indices = np.atleast_2d(np.asarray(h))
    whole = np.rint(indices).astype(np.int64)
    if indices.ndim != 2 or indices.shape[1] != 3 or not np.array_equal(whole, indices):
        raise InputError(f"Miller indices: got shape {np.shape(h)}, expected integer triples (M, 3)")
    return whole
