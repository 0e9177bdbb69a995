"""V0: neutral Gaussian atoms, known analytically in any cell.

The density given is Σ Z G_A, the "free atoms" are Σ Z G_B, so the deformation density Σ Z (G_A − G_B) must bring the
potential from one to the other through Poisson's equation. The density is sampled in real space.
"""

import ase
import numpy as np
import pytest

from rhotem.core import PeriodicGrid, reflections
from rhotem.core.units import EPS0, MOTT_BETHE
from rhotem.density.field import DensityField
from rhotem.potential import build_potential
from rhotem.potential.crystal import g_vectors, structure_factors
from rhotem.potential.plane_waves import HalfPlane
from rhotem.structure.model import Structure
from rhotem.structure.orient import orient

TRUE, FREE = 0.30, 0.36  # widths σ in Å

CELLS = {
    "orthogonal": [[3.1, 0, 0], [0, 3.7, 0], [0, 0, 4.3]],
    "hexagonal": [[2.9, 0, 0], [-1.45, 2.9 * np.sqrt(0.75), 0], [0, 0, 4.6]],
    "fcc primitive": [[0, 2.1, 2.1], [2.1, 0, 2.1], [2.1, 2.1, 0]],
    "monoclinic": [[3.2, 0, 0], [0, 3.9, 0], [-0.8, 0, 4.1]],
}


def free_form_factor(z, g):
    """Mott–Bethe of a Gaussian of width FREE; its limit at g = 0 is Z 2π²σ²/(2π² a0)."""
    x = 2 * np.pi**2 * FREE**2 * np.asarray(g, dtype=float) ** 2
    return MOTT_BETHE * z * 2 * np.pi**2 * FREE**2 * np.where(x < 1e-8, 1.0, -np.expm1(-x) / np.maximum(x, 1e-30))


def gaussian_crystal(cell):
    atoms = ase.Atoms([3, 8], scaled_positions=[[0.03, 0.11, 0.07], [0.51, 0.42, 0.6]], cell=cell, pbc=True)
    return Structure(atoms)


def deformation(structure, spacing=0.1):
    """Σ Z (G_A − G_B) summed over images in real space."""
    grid = PeriodicGrid.from_spacing(structure.cell, spacing)
    points = grid.points()
    values = np.zeros(grid.shape)
    shifts = np.array([(i, j, k) for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3)]) @ structure.cell
    for z, r in zip(structure.numbers, structure.positions, strict=True):
        for shift in shifts:
            d2 = ((points - r - shift) ** 2).sum(-1)
            for width, sign in ((TRUE, 1), (FREE, -1)):
                values += sign * z * np.exp(-d2 / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5
    return DensityField("deformation", structure, grid, values, source="Gaussians")


def exact(structure, h):
    """V_h = Σ_a e Z (1 − exp(−2π²g²A²)) exp(−2πi h·f)/(ε0 (2πg)² Ω)."""
    g2 = (g_vectors(structure, h) ** 2).sum(1)
    phases = np.exp(-2j * np.pi * (h @ structure.atoms.get_scaled_positions().T))
    charge = -np.expm1(-2 * np.pi**2 * g2 * TRUE**2)[:, None] * structure.numbers
    return (charge * phases).sum(1) / (EPS0 * 4 * np.pi**2 * g2 * structure.volume)


@pytest.mark.parametrize("name", CELLS)
def test_structure_factors(name, capsys):
    crystal = gaussian_crystal(CELLS[name])
    h = reflections(crystal.cell, 4.0)
    got = structure_factors(deformation(crystal), crystal, h, free_form_factor)
    wanted = exact(crystal, h)
    error = np.abs(got - wanted) / np.abs(wanted).clip(1e-2 * np.abs(wanted).max())
    free = structure_factors(None, crystal, h, free_form_factor)
    with capsys.disabled():
        print(f"\nV0 {name:14s} {len(h):5d} reflections, largest error {error.max():.1e}, free atoms alone off by "
              f"{(np.abs(free - wanted) / np.abs(wanted).clip(1e-2 * np.abs(wanted).max())).max():.1e}")  # fmt: skip
    assert error.max() < 1e-3
    assert np.abs(free - wanted).max() > 0.01 * np.abs(wanted).max(), "Poisson's part must matter for this to be a test"


@pytest.mark.parametrize("name", CELLS)
def test_mean_inner_potential_from_second_moments(name):
    """∫ r² G_B = 3 B²; the deformation contributes nothing at g = 0 (convention)."""
    crystal = gaussian_crystal(CELLS[name])
    wanted = crystal.numbers.sum() * 3 * FREE**2 / (6 * EPS0 * crystal.volume)
    got = structure_factors(deformation(crystal, 0.3), crystal, [[0, 0, 0]], free_form_factor)
    assert got[0] == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "zone"), [("hexagonal", (0, 0, 1)), ("fcc primitive", (0, 0, 1)), ("monoclinic", (0, 1, 0))]
)
def test_projected_slices_in_the_imaging_cell(name, zone):
    """The same through the index map, slices and FFT: projection along the zone axis, to 4 1/Å."""
    crystal = gaussian_crystal(CELLS[name])
    cell = orient(crystal, zone, basis="input")
    assert cell.max_strain < 1e-9, "a strained density is no longer round"
    field = deformation(crystal)
    shape = PeriodicGrid.from_spacing(cell.structure.cell, 0.09).shape[:2]
    grid = PeriodicGrid(cell.structure.cell, (*shape, 5))
    potential = build_potential(cell, grid, field, parametrization=free_form_factor, precision="double")
    plane = HalfPlane(grid)
    got = np.fft.fftshift(np.fft.fft2(potential.projected()) / np.prod(shape), axes=0)[:, : plane.shape[1]]
    h_x, h_y = np.meshgrid(np.arange(shape[0]) - plane.centre, np.arange(plane.shape[1]), indexing="ij")
    inside = (plane.g <= 4.0) & (plane.g > 0)
    h = np.stack([h_x[inside], h_y[inside], np.zeros(inside.sum(), int)], axis=1)
    wanted = exact(cell.structure, h) * grid.cell[2, 2]
    assert np.abs(got[inside] - wanted).max() < 1e-5 * np.abs(wanted).max()
    large = np.abs(wanted) > 1e-2 * np.abs(wanted).max()
    assert (np.abs(got[inside] - wanted)[large] / np.abs(wanted)[large]).max() < 1e-3
    assert got[plane.centre, 0].real == pytest.approx(potential.mean_inner_potential * grid.cell[2, 2], rel=1e-6)
