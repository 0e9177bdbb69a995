"""Fourier coefficients of one-centre densities against the integral that they are, atom by atom."""

import ase
import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from scipy.special import spherical_jn

from rhotem.core import PeriodicGrid
from rhotem.density.field import OneCentre
from rhotem.density.harmonics import real_harmonics
from rhotem.density.one_centre import one_centre_coefficients, spherical_bessel
from rhotem.structure.model import Structure

CELL = np.array([[4.0, 0.0, 0.0], [-1.3, 4.4, 0.0], [0.7, 0.5, 5.1]])


def plain(structure, grid, terms, h):
    """(4π/Ω) Σ (−i)^l Y_lm exp(−2πi g·R) ∫ r² j_l(2πgr) R_lm dr, every integral by itself."""
    g = h @ grid.reciprocal
    x, w = np.polynomial.legendre.leggauss(6)
    total = np.zeros(len(h), dtype=complex)
    for term in terms:
        edges = np.unique(np.concatenate([[0.0], term.radii]))
        half = np.diff(edges) / 2
        r = (edges[:-1, None] + half[:, None] * (1 + x)).ravel()
        values = CubicSpline(term.radii, term.values, axis=1)(r) * (half[:, None] * w).ravel() * r**2
        powers = np.repeat(np.arange(term.lmax + 1), 2 * np.arange(term.lmax + 1) + 1)
        bessel = [spherical_jn(l, 2 * np.pi * np.outer(np.linalg.norm(g, axis=1), r)) for l in range(term.lmax + 1)]
        radial = np.stack([bessel[l] @ v for l, v in zip(powers, values, strict=True)], axis=1)
        phase = np.exp(-2j * np.pi * (g @ structure.positions[term.atom]))
        total += (real_harmonics(g, term.lmax) * (-1j) ** powers * radial).sum(1) * phase
    return total * 4 * np.pi / grid.volume


def test_atoms_with_any_tables_together():
    """Different radii and lmax, one that does not start at r = 0, h = 0, and to 9 1/Å."""
    rng = np.random.default_rng(0)
    structure = Structure(ase.Atoms("LiCoO2F", scaled_positions=rng.uniform(-1, 2, (5, 3)), cell=CELL, pbc=True))
    tables = [
        (np.linspace(0.0, 1.5, 160) ** 2, 4),
        (np.linspace(0.0, 1.5, 160) ** 2, 4),
        (np.geomspace(1e-3, 1.1, 300), 2),
        (np.linspace(0.0, 0.8, 120), 0),
        (np.linspace(0.0, 1.5, 160) ** 2, 1),
    ]
    terms = []
    for atom, (r, lmax) in enumerate(tables):
        values = np.zeros(((lmax + 1) ** 2, len(r)))
        for l in range(lmax + 1):
            radial = r**l * np.exp(-0.5 * (r / 0.12) ** 2) + 0.02 * r**l * np.exp(-3 * r**2)
            values[l * l : (l + 1) ** 2] = rng.normal(size=(2 * l + 1, 1)) * radial * (1 - (r / r[-1]) ** 2) ** 3
        terms.append(OneCentre(atom, r, values))
    grid = PeriodicGrid(CELL, (8, 8, 8))
    h = rng.integers(-35, 36, size=(700, 3))
    h[:3] = [[0, 0, 0], [0, 0, 1], [-1, 0, 0]]
    expected = plain(structure, grid, terms, h)
    found = one_centre_coefficients(structure, grid, terms, h)
    assert np.abs(found - expected).max() < 1e-8 * np.abs(expected).max()
    # whatever is asked for beside it
    few = one_centre_coefficients(structure, grid, terms, h[5:9])
    assert few == pytest.approx(found[5:9], abs=1e-12 * np.abs(found).max())
    assert one_centre_coefficients(structure, grid, terms, h[:0]).shape == (0,)


def test_bessel_functions_by_recurrence():
    x = np.concatenate([[0.0], np.geomspace(1e-3, 600.0, 2000)])
    for lmax in (0, 1, 4, 6):
        for l, values in enumerate(spherical_bessel(lmax, x)):
            np.testing.assert_allclose(values, spherical_jn(l, x), atol=1e-12)
