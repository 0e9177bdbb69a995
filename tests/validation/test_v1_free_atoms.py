"""V1: slices of free atoms against the analytic Σ f_e exp(−2πi g·r), Lobato & Van Dyck 2014, atoms off pixel."""

import ase
import numpy as np
import pytest
from ase.data import chemical_symbols

from rhotem.core import PeriodicGrid
from rhotem.core.units import VOLT_PER_FE
from rhotem.potential import build_potential
from rhotem.potential.plane_waves import HalfPlane
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell

abtem = pytest.importorskip("abtem")


def lobato(z, g):
    """f_e in Å from abTEM's copy of the published coefficients: Σ a (2 + b g²)/(1 + b g²)²."""
    from abtem.parametrizations import LobatoParametrization

    a, b = np.array(LobatoParametrization().parameters[chemical_symbols[z]])
    bg2 = b * np.asarray(g)[..., None] ** 2
    return (a * (2 + bg2) / (1 + bg2) ** 2).sum(-1)


def analytic_projection(atoms, plane):
    """Projected coefficients in V·Å on the half-plane, and Σ|f_e| for scale."""
    n_x = plane.grid.shape[0]
    h_x, h_y = np.arange(n_x) - plane.centre, np.arange(plane.shape[1])
    total, scale = np.zeros(plane.shape, dtype=complex), np.zeros(plane.shape)
    for z, f in zip(atoms.numbers, atoms.get_scaled_positions(), strict=True):
        amplitude = lobato(z, plane.g) * VOLT_PER_FE / (atoms.cell[0, 0] * atoms.cell[1, 1])
        total += amplitude * np.exp(-2j * np.pi * (h_x[:, None] * f[0] + h_y[None, :] * f[1]))
        scale += amplitude
    return total, scale


def off_pixel_atoms(seed=0):
    rng = np.random.default_rng(seed)
    numbers = [3, 8, 8, 27, 22, 57, 1, 92, 19]
    return ase.Atoms(numbers, scaled_positions=rng.random((len(numbers), 3)), cell=[4.1, 5.3, 6.2], pbc=True)


def half_plane_of(array, plane):
    """Fourier coefficients of a real in-plane array in the half-plane's layout."""
    n_x, n_y, _ = plane.grid.shape
    return np.fft.fftshift(np.fft.fft2(array) / (n_x * n_y), axes=-2)[..., : plane.shape[1]]


def inner(values):
    """Without the Nyquist lines, which hold averages of +n/2 and −n/2."""
    return values[1:, :-1]


def test_projection_is_exact_to_the_band_limit(capsys):
    atoms = off_pixel_atoms()
    grid = PeriodicGrid(atoms.cell.array, (64, 80, 5))
    plane = HalfPlane(grid)
    cell = ImagingCell.from_orthogonal(Structure(atoms))
    ours = half_plane_of(build_potential(cell, grid, parametrization="lobato").projected(), plane)
    exact, scale = analytic_projection(atoms, plane)
    abtem_potential = abtem.Potential(atoms, gpts=(64, 80), slice_thickness=6.2, parametrization="lobato")
    theirs = half_plane_of(abtem_potential.build(lazy=False).array.sum(0).astype(float), plane)
    # abTEM shifts the potential's minimum to zero, so g = 0 is left out for it.
    theirs[plane.centre, 0] = exact[plane.centre, 0]
    error, other = (inner(np.abs(v - exact) / scale) for v in (ours, theirs))
    g = inner(plane.g)
    with capsys.disabled():
        print("\nV1   |g| (1/Å)   RhoTEM     abTEM IAM (infinite, same grid)")
        for low, high in ((0, 1), (1, 2), (2, 4), (4, 6), (6, g.max())):
            ring = (g >= low) & (g <= high)
            print(f"   {low:4.1f}–{high:4.1f}   {error[ring].max():9.1e}   {other[ring].max():9.1e}")
    assert error.max() < 1e-5
    # Relative to each coefficient itself, where it is not an accidental zero.
    strong = inner(np.abs(exact) > 0.05 * scale)
    assert (inner(np.abs(ours - exact)) / inner(np.abs(exact)))[strong].max() < 1e-4


def test_each_slice_against_a_brute_force_sum_along_the_beam():
    """V_s(g) = Σ_gz V(g) Δz sinc(gz Δz) exp(2πi gz z_mid), summed to |gz| = 400 /Å."""
    atoms = off_pixel_atoms(1)
    grid = PeriodicGrid(atoms.cell.array, (40, 51, 4))
    plane = HalfPlane(grid)
    cell = ImagingCell.from_orthogonal(Structure(atoms))
    potential = build_potential(cell, grid, parametrization="lobato", precision="double")
    ours = half_plane_of(potential.array, plane)
    a, b, c = np.diag(grid.cell)
    g_z = np.arange(-2480, 2481) / c
    dz = potential.thickness
    for row, column in ((20, 0), (20, 1), (21, 0), (25, 7), (12, 3), (39, 25), (1, 20)):
        g_x, g_y = (row - plane.centre) / a, column / b
        total = np.zeros(len(g_z), dtype=complex)
        for z, r in zip(atoms.numbers, atoms.positions, strict=True):
            phase = np.exp(-2j * np.pi * (g_x * r[0] + g_y * r[1] + g_z * r[2]))
            total += lobato(z, np.sqrt(g_x**2 + g_y**2 + g_z**2)) * phase * VOLT_PER_FE / (a * b * c)
        scale = sum(lobato(z, np.hypot(g_x, g_y)) for z in atoms.numbers) * VOLT_PER_FE / (a * b)
        for s in range(4):
            wave = dz * np.sinc(g_z * dz) * np.exp(2j * np.pi * g_z * (s + 0.5) * dz)
            assert abs(ours[s, row, column] - (total * wave).sum()) < 3e-6 * scale


def test_mean_inner_potential_is_that_of_the_slices():
    atoms = off_pixel_atoms()
    grid = PeriodicGrid(atoms.cell.array, (30, 40, 4))
    potential = build_potential(ImagingCell.from_orthogonal(Structure(atoms)), grid, parametrization="lobato")
    exact = sum(lobato(z, np.zeros(())) for z in atoms.numbers) * VOLT_PER_FE / grid.volume
    assert potential.mean_inner_potential == pytest.approx(exact, rel=1e-10)
    assert potential.array.mean(dtype=float) / potential.thickness == pytest.approx(exact, rel=1e-6)
