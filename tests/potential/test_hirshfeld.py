"""The deformation density moving with its atoms."""

import ase
import numpy as np
import pytest
from ase.build import bulk

from rhotem.core import MemoryLimitError, PeriodicGrid
from rhotem.density.field import DensityField, OneCentre
from rhotem.potential.deformation import deformation_coefficients, wave_slices
from rhotem.potential.hirshfeld import moving_coefficients, pieces
from rhotem.potential.plane_waves import HalfPlane
from rhotem.potential.slices import build_potential
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell, orient

WIDTH = 0.35


def gaussians(structure, grid, heights):
    """Σ height · Gaussian at the atoms, by Fourier coefficients, band-limited."""
    h = np.stack(np.meshgrid(*grid.indices(), indexing="ij"), -1)
    phases = np.exp(-2j * np.pi * (h @ structure.atoms.get_scaled_positions(wrap=False).T)) @ np.asarray(heights)
    return grid.inverse_fourier(phases * np.exp(-2 * np.pi**2 * grid.g_squared() * WIDTH**2) / grid.volume)


def sharp(atom):
    """A narrow s + d shell without net charge, ended smoothly at 0.6 Å."""
    r = np.linspace(0.0, 0.6, 61)
    values = np.zeros((9, 61))
    shape = np.exp(-((r / 0.15) ** 2)) * (1 - (r / 0.6) ** 2) ** 2
    values[0] = shape * (1 - 20 * r**2)
    values[4] = 5 * r**2 * shape
    return OneCentre(atom, r, values)


def slices(grid, indices, potential):
    out = np.zeros((grid.shape[2], *HalfPlane(grid).shape), dtype=complex)
    wave_slices(grid, indices, potential)(range(grid.shape[2]), out)
    return HalfPlane(grid).to_real(out)


@pytest.mark.parametrize("one_centre", [False, True])
def test_atoms_at_rest_give_the_static_density(one_centre):
    """Rotated crystal, supercell: no displacement, no difference."""
    silicon = bulk("Si")
    silicon.positions += [0.1, 0.2, 0.3]
    crystal = Structure(silicon)
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.16)
    parts = (sharp(0), sharp(1)) if one_centre else ()
    field = DensityField("deformation", crystal, grid, gaussians(crystal, grid, [0.5, -0.3]), parts)
    cell = orient(crystal, (1, 1, 0)).repeated(1, 1, 2)
    fine = PeriodicGrid(cell.structure.cell, (24, 32, 8))
    still = slices(fine, *deformation_coefficients(cell, field, 30.0, 0.0, fine))
    moving = slices(fine, *moving_coefficients(cell, field, fine, np.zeros((len(cell.structure), 3))))
    assert np.abs(moving - still).max() < 2e-3 * np.abs(still).max()


def test_pieces_add_up():
    crystal = Structure(bulk("NaCl", "rocksalt", a=5.6))
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.3)
    values = np.random.default_rng(0).normal(size=grid.shape)
    field = DensityField("deformation", crystal, grid, values)
    total = np.zeros(grid.shape)
    for (points, electrons), centre in zip(pieces(field), crystal.atoms.get_scaled_positions(wrap=False), strict=True):
        index = np.rint((points + centre) * grid.shape).astype(int) % grid.shape
        np.add.at(total, tuple(index.T), electrons)
    np.testing.assert_allclose(total, values * grid.voxel_volume, atol=1e-12)


def test_isolated_atoms_carry_their_density_along():
    """Far-apart atoms: moving the piece is exact, so it equals the Gaussians drawn at the displaced places."""
    atoms = ase.Atoms("NaNe", positions=[[1.0, 1.5, 2.0], [4.5, 4.0, 5.5]], cell=[7.0, 7.0, 7.5], pbc=True)
    crystal = Structure(atoms)
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.16)
    field = DensityField("deformation", crystal, grid, gaussians(crystal, grid, [0.0, 1.0]))
    cell = ImagingCell.from_orthogonal(crystal)
    fine = PeriodicGrid(crystal.cell, (36, 36, 5))
    u = np.array([[0.0, 0.0, 0.0], [0.12, -0.07, 0.21]])
    moved = atoms.copy()
    moved.positions += u
    target = Structure(moved)
    exact_field = DensityField("deformation", target, grid, gaussians(target, grid, [0.0, 1.0]))
    exact = slices(fine, *deformation_coefficients(ImagingCell.from_orthogonal(target), exact_field, 30.0, 0.0, fine))
    got = slices(fine, *moving_coefficients(cell, field, fine, u))
    still = slices(fine, *deformation_coefficients(cell, field, 30.0, 0.0, fine))
    assert np.abs(still - exact).max() > 0.05 * np.abs(exact).max(), "the displacement must matter"
    assert np.abs(got - exact).max() < 5e-3 * np.abs(exact).max()


def test_many_configurations_average_to_the_debye_waller_factor():
    """⟨moving⟩ = averaged, for a density that is one atom's alone."""
    atoms = ase.Atoms("Ne", positions=[[2.0, 2.0, 2.0]], cell=[4.0, 4.0, 4.0], pbc=True)
    crystal = Structure(atoms)
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.2)
    field = DensityField("deformation", crystal, grid, gaussians(crystal, grid, [1.0]))
    cell = ImagingCell.from_orthogonal(crystal)
    fine = PeriodicGrid(crystal.cell, (20, 20, 2))
    rng = np.random.default_rng(0)
    msd, number = 0.01, 120
    draws = rng.normal(0, np.sqrt(msd), (number // 2, 1, 3))
    mean = np.mean(
        [slices(fine, *moving_coefficients(cell, field, fine, s * u)) for u in draws for s in (1, -1)], axis=0
    )
    expected = slices(fine, *deformation_coefficients(cell, field, 30.0, msd, fine))
    still = slices(fine, *deformation_coefficients(cell, field, 30.0, 0.0, fine))
    assert np.abs(mean - expected).max() < 0.35 * np.abs(still - expected).max()


def test_build_potential_with_moving_density_and_its_memory_limit():
    atoms = ase.Atoms("Ne", positions=[[2.0, 2.0, 2.0]], cell=[4.0, 4.0, 4.0], pbc=True)
    crystal = Structure(atoms)
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.2)
    field = DensityField("deformation", crystal, grid, gaussians(crystal, grid, [1.0]))
    cell = ImagingCell.from_orthogonal(crystal)
    fine = PeriodicGrid(crystal.cell, (20, 20, 2))
    options = {"displacements": np.full((1, 3), 0.1), "deformation_phonons": "hirshfeld"}
    potential = build_potential(cell, fine, field, **options)
    assert potential.record["deformation_phonons"] == "hirshfeld"
    # Everything moves together here: the result is the potential at rest, shifted by half a pixel.
    rest = np.fft.fft2(build_potential(cell, fine, field).projected())
    h = np.fft.fftfreq(20) * 20
    shifted = rest * np.exp(-2j * np.pi * 0.1 / 4.0 * (h[:, None] + h))
    inside = (np.abs(h) < 10)[:, None] & (np.abs(h) < 10)
    got = np.fft.fft2(potential.projected())
    assert np.abs(got - shifted)[inside].max() < 2e-4 * np.abs(rest).max()
    with pytest.raises(MemoryLimitError, match="averaged"):
        build_potential(cell, fine, field, memory_limit=1.2e6, **options)
