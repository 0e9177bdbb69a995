"""Fourier coefficients against analytic transforms, and the harmonics they are made of."""

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.fourier import coefficients, free_atom_coefficients
from rhotem.density.harmonics import real_harmonics
from rhotem.structure.model import Structure

CELL = np.array([[4.0, 0.0, 0.0], [-1.3, 4.4, 0.0], [0.7, 0.5, 5.1]])


def _structure(fractional: list[list[float]], symbols: str) -> Structure:
    return Structure(ase.Atoms(symbols, scaled_positions=fractional, cell=CELL, pbc=True))


def test_harmonics_are_those_of_the_conventions() -> None:
    v = np.random.default_rng(0).normal(size=(50, 3)) * 3.0
    x, y, z = (v / np.linalg.norm(v, axis=1)[:, None]).T
    values = real_harmonics(v, 2)
    dipole, quadrupole = np.sqrt(3 / (4 * np.pi)), np.sqrt(15 / (4 * np.pi))
    expected = [np.full(50, np.sqrt(1 / (4 * np.pi))), dipole * y, dipole * z, dipole * x]
    expected += [quadrupole * x * y, quadrupole * y * z, quadrupole / np.sqrt(12) * (3 * z * z - 1)]
    expected += [quadrupole * z * x, quadrupole / 2 * (x * x - y * y)]
    assert values == pytest.approx(np.array(expected).T, abs=1e-13)
    at_zero = real_harmonics(np.zeros((1, 3)), 4)[0]
    assert at_zero[0] == pytest.approx(np.sqrt(1 / (4 * np.pi)))
    assert not at_zero[1:].any()


def test_harmonics_are_orthonormal() -> None:
    from scipy.integrate import lebedev_rule

    points, weights = lebedev_rule(17)
    y = real_harmonics(points.T, 6)
    assert (y.T * weights) @ y == pytest.approx(np.eye(49), abs=1e-11)


def test_plane_waves_come_back_and_nyquist_is_shared() -> None:
    grid = PeriodicGrid(CELL, (6, 5, 8))
    structure = _structure([[0, 0, 0]], "H")
    index = np.stack(np.meshgrid(*[np.arange(n) / n for n in grid.shape], indexing="ij"), -1)
    h = np.array([[1, -2, 3], [-1, 2, -3], [3, 1, -2], [-3, 1, -2], [0, 0, 0], [4, 0, 0], [2, 2, -4]])
    wave = 0.7 + np.cos(2 * np.pi * (index @ h[0]) + 0.4) + np.cos(2 * np.pi * (index @ [3, 1, -2]))
    found = coefficients(DensityField("deformation", structure, grid, wave), h)
    # cos(2π·3i/6 + ...) on six points: +3 and −3 are one wave; each gets half of exp(i…)/2 + conj.
    assert found == pytest.approx([0.5 * np.exp(0.4j), 0.5 * np.exp(-0.4j), 0.25, 0.25, 0.7, 0, 0], abs=1e-14)


def test_one_centre_gaussians_of_every_l() -> None:
    """r^l exp(−ar²) Y_lm has the transform (−i)^l (π/a)^{3/2} (πg/a)^l exp(−π²g²/a) Y_lm(ĝ)."""
    a = 9.0
    radii = np.concatenate([[0.0], np.geomspace(1e-3, 2.2, 300)])
    grid = PeriodicGrid(CELL, (10, 10, 10))
    structure = _structure([[0.1, 0.2, 0.3], [0.65, 0.4, 0.9]], "LiF")
    h = np.random.default_rng(2).integers(-9, 10, size=(60, 3))
    h[0] = 0
    g = h @ grid.reciprocal
    length = np.linalg.norm(g, axis=1)
    amplitude = np.random.default_rng(3).normal(size=25)
    ls = np.repeat(np.arange(5), 2 * np.arange(5) + 1)
    values = amplitude[:, None] * radii ** ls[:, None] * np.exp(-a * radii**2)
    one = OneCentre(1, radii, values)
    zero = DensityField("deformation", structure, grid, np.broadcast_to(0.0, grid.shape), (one,))
    angular = real_harmonics(g, 4) * (-1j) ** ls * (np.pi * length[:, None] / a) ** ls
    exact = (angular @ amplitude) * (np.pi / a) ** 1.5 * np.exp(-((np.pi * length) ** 2) / a)
    exact = exact * np.exp(-2j * np.pi * (h @ structure.atoms.get_scaled_positions()[1])) / grid.volume
    assert coefficients(zero, h) == pytest.approx(exact, abs=2e-6 * np.abs(exact).max())


def test_free_atoms_add_up_to_the_electrons() -> None:
    structure = _structure([[0, 0, 0], [0.5, 0.5, 0.5], [0.2, 0.3, 0.7]], "LiCoO")
    h = np.array([[0, 0, 0], [1, 2, 3], [-1, -2, -3]])
    f = free_atom_coefficients(structure, h) * structure.volume
    assert f[0] == pytest.approx(3 + 27 + 8)
    assert f[1] == pytest.approx(np.conj(f[2]))
    valence = free_atom_coefficients(structure, h[:1], {3: 1, 27: 17, 8: 6}) * structure.volume
    assert valence[0] == pytest.approx(24)
    assert free_atom_coefficients(structure, h[:1], "valence") * structure.volume == pytest.approx([16])
    g = np.linalg.norm(h[1] @ np.linalg.inv(CELL).T)
    phases = np.exp(-2j * np.pi * (structure.atoms.get_scaled_positions() @ h[1]))
    table = free_atoms.load()
    by_hand = sum(table.x_ray_form_factor(z, g) * p for z, p in zip((3, 27, 8), phases, strict=True))
    assert f[1] == pytest.approx(by_hand)
    with pytest.raises(InputError, match="integer triples"):
        free_atom_coefficients(structure, [[0.5, 0, 0]])
    with pytest.raises(InputError, match="no count for Z = 8"):
        free_atom_coefficients(structure, h, {3: 1, 27: 9})


def test_mean_value_alone_can_be_asked_for() -> None:
    """h = (0,0,0) only: the electrons of a one-centre part over the volume."""
    structure = Structure(ase.Atoms("He", positions=[[0.3, 0.1, 0.2]], cell=np.eye(3) * 6.0, pbc=True))
    radii = np.linspace(0.0, 2.5, 400)
    term = OneCentre(0, radii, np.sqrt(4 * np.pi) * np.exp(-((radii / 0.4) ** 2))[None])
    grid = PeriodicGrid(structure.cell, (8, 8, 8))
    field = DensityField("deformation", structure, grid, np.zeros(grid.shape), (term,))
    mean = coefficients(field, np.zeros((1, 3), dtype=int))[0]
    assert mean == pytest.approx((np.pi * 0.4**2) ** 1.5 / 6.0**3, rel=1e-4)
