"""Structure factors of crystals whose atoms move: a Debye–Waller factor for every atom, with its piece of the bonds."""

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.fourier import coefficients
from rhotem.potential.crystal import debye_waller_factors, g_vectors, structure_factors
from rhotem.potential.hirshfeld import piece_factors
from rhotem.structure.model import Structure

H = np.array([[0, 0, 0], [1, 0, 0], [-1, 2, 0], [2, 1, -3], [0, -2, 4]])


@pytest.fixture
def field(rng: np.random.Generator) -> DensityField:
    """A smooth deformation density of a triclinic cell of two elements, without net charge."""
    cell = np.array([[4.0, 0.3, 0.0], [-0.5, 4.4, 0.2], [0.1, 0.6, 5.0]])
    crystal = Structure(ase.Atoms("NaCl", scaled_positions=[(0.1, 0.2, 0.3), (0.55, 0.6, 0.8)], cell=cell, pbc=True))
    grid = PeriodicGrid(cell, (24, 24, 30))
    spectrum = np.fft.fftn(rng.normal(size=grid.shape)) * np.exp(-8.0 * grid.g_squared())
    spectrum[0, 0, 0] = 0.0
    return DensityField("deformation", crystal, grid, np.fft.ifftn(spectrum).real)


def test_every_free_atom_is_damped_by_its_own_motion(field) -> None:
    """V of both atoms is the sum of each alone times its factor; tensors of a sphere are that sphere."""
    crystal, motion = field.structure, np.array([0.004, 0.02])
    g2 = (g_vectors(crystal, H) ** 2).sum(axis=1)
    expected = np.zeros(len(H), dtype=complex)
    for atom in (0, 1):
        alone = Structure(crystal.atoms[[atom]])
        expected += structure_factors(None, alone, H) * np.exp(-2 * np.pi**2 * motion[atom] * g2)
    assert structure_factors(None, crystal, H, displacements=motion) == pytest.approx(expected, rel=1e-9)
    tensors = motion[:, None, None] * np.eye(3)
    assert structure_factors(None, crystal, H, displacements=tensors) == pytest.approx(expected, rel=1e-9)


def test_an_anisotropic_atom_is_damped_along_its_motion(field) -> None:
    tensors = np.zeros((2, 3, 3))
    tensors[0, 2, 2] = 0.03
    g = g_vectors(field.structure, H)
    assert debye_waller_factors(field.structure, g, tensors)[0] == pytest.approx(
        np.exp(-0.06 * np.pi**2 * g[:, 2] ** 2)
    )


def test_pieces_are_the_whole(field) -> None:
    phases = np.exp(-2j * np.pi * field.structure.atoms.get_scaled_positions(wrap=False) @ H.T)
    whole = (piece_factors(field, H) * phases).sum(axis=0)
    assert whole == pytest.approx(coefficients(field, H) * field.grid.volume, abs=1e-6)


def test_bonds_move_with_their_atoms(field) -> None:
    """Equal motions damp Δn by one factor, by way of the pieces as well; a resting atom keeps its piece."""
    crystal = field.structure
    equal = structure_factors(field, crystal, H, displacements=np.array([0.01, 0.01]))
    nearly = structure_factors(field, crystal, H, displacements=np.array([0.01, 0.01 + 1e-7]))
    assert nearly == pytest.approx(equal, abs=1e-4)
    bonds = structure_factors(field, crystal, H) - structure_factors(None, crystal, H)
    motion = np.array([0.0, 0.05])
    moving = structure_factors(field, crystal, H, displacements=motion)
    moving -= structure_factors(None, crystal, H, displacements=motion)
    resting = piece_factors(field, H)[0] * np.exp(-2j * np.pi * H @ crystal.atoms.get_scaled_positions()[0])
    other = coefficients(field, H) * field.grid.volume - resting
    g2 = (g_vectors(crystal, H) ** 2).sum(axis=1)
    charge = resting + other * np.exp(-2 * np.pi**2 * 0.05 * g2)
    expected = bonds[1:] * (charge / (resting + other))[1:]
    assert moving[1:] == pytest.approx(expected, abs=1e-6)


def test_refuses_motions_of_other_atoms(field) -> None:
    with pytest.raises(InputError, match="displacements"):
        structure_factors(field, field.structure, H, displacements=np.zeros(3))
