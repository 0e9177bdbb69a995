"""Random displacements have the tensors asked for, and what they do to a potential is a Debye–Waller factor."""

import numpy as np
import pytest
from ase import Atoms
from scipy.stats import chi2

from rhotem.core import InputError, PeriodicGrid
from rhotem.microscope.phonons import displacements, square_roots
from rhotem.potential.slices import build_potential
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell


def tensors(count: int = 30) -> np.ndarray:
    """Positive definite ones, of the size of real ones."""
    a = np.random.default_rng(0).normal(size=(count, 3, 3))
    return 0.004 * a @ a.transpose(0, 2, 1)


def test_drawn_displacements_have_the_covariance_asked_for():
    """W = Σ u uᵀ of n draws is Wishart: uᵀU⁻¹u sums to χ² of 3n, and every element is within its standard error."""
    u, n = tensors(6), 4000
    drawn = np.array(list(displacements(u, n, np.random.default_rng(1))))
    whitened = np.einsum("kni,nij,knj->n", drawn, np.linalg.inv(u), drawn)
    low, high = chi2.ppf([1e-4, 1 - 1e-4], 3 * n)
    assert ((whitened > low) & (whitened < high)).all()
    found = np.einsum("kni,knj->nij", drawn, drawn) / n
    diagonal = np.einsum("nii->ni", u)
    error = np.sqrt((u**2 + diagonal[:, :, None] * diagonal[:, None, :]) / n)  # of a Wishart distribution
    assert (np.abs(found - u) < 4.5 * error).all()
    assert (np.abs(drawn.mean(axis=0)) < 4.5 * np.sqrt(diagonal / n)).all()


def test_isotropic_tensors_are_the_scalars_bit_for_bit():
    scalar = np.random.default_rng(2).uniform(0, 0.05, 40)
    one, other = (
        np.array(list(displacements(given, 3, np.random.default_rng(5))))
        for given in (scalar, scalar[:, None, None] * np.eye(3))
    )
    np.testing.assert_array_equal(one, other)


def test_atoms_may_stand_still_along_some_direction():
    full = tensors(4)
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 3, 3)))[0]
    flat = axes * np.array([[0.02, 0.01, 0.0], [0.02, 0.0, 0.0], [0.0, 0.0, 0.0], [0.01, 0.01, 0.0]])[:, None]
    given = np.concatenate([full, flat @ axes.transpose(0, 2, 1)])
    roots = square_roots(given)
    np.testing.assert_allclose(roots @ roots.transpose(0, 2, 1), given, atol=1e-10)
    moved = np.array(list(displacements(given, 50, np.random.default_rng(0))))
    still = np.einsum("kni,ni->kn", moved[:, 4:], axes[:, :, 2])
    assert np.abs(still).max() < 1e-5


@pytest.mark.parametrize(
    "given, words",
    [
        ([0.01, -0.01], "from 0 upwards"),
        ([np.diag([0.01, 0.01, -0.001])], "negative"),
        ([np.diag([0.01, np.nan, 0.001])], "numbers"),
        ([[[0.01, 0.002, 0], [0, 0.01, 0], [0, 0, 0.01]]], "symmetric"),
        (np.ones((2, 2, 2)), "shape"),
    ],
)
def test_what_is_no_mean_square_displacement(given, words):
    with pytest.raises(InputError, match=words):
        next(displacements(given, 1, np.random.default_rng(0)))


def test_mean_potential_of_atoms_that_move_along_one_axis():
    """Fourier coefficients of ⟨V⟩ over configurations are those at rest times exp(−2π² gᵀ U g), atom by atom."""
    atoms = Atoms("Cu", cell=np.diag([3.0, 3.4, 2.0]), scaled_positions=[[0.2, 0.3, 0.5]], pbc=True)
    block = ImagingCell.from_orthogonal(Structure(atoms)).repeated(4, 4, 4)
    grid = PeriodicGrid(block.structure.cell, (96, 96, 4))
    turn = np.array([[np.cos(0.4), -np.sin(0.4), 0], [np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]])
    u = turn @ np.diag([0.03, 0.0, 0.01]) @ turn.T
    each = np.tile(u, (len(block.structure), 1, 1))

    def coefficients(moved: np.ndarray | None) -> np.ndarray:
        slices = build_potential(block, grid, parametrization="lobato", displacements=moved, precision="double")
        return np.fft.fft2(slices.projected())[::4, ::4]  # reciprocal vectors of the small cell only

    rest = coefficients(None)
    n = 60
    found = np.mean([coefficients(m) for m in displacements(each, n, np.random.default_rng(4))], axis=0)
    h = np.stack(np.meshgrid(*(np.fft.fftfreq(24) * 24,) * 2, indexing="ij"), axis=-1)
    g = h / np.diag(atoms.cell.array)[:2]
    factor = np.exp(-2 * np.pi**2 * np.einsum("abi,ij,abj->ab", g, u[:2, :2], g))
    inside = (np.linalg.norm(g, axis=-1) < 3.0) & (np.linalg.norm(g, axis=-1) > 0)
    # one atom of many: its factor scatters by at most 1/√(n·64)
    assert (np.abs(found / rest - factor)[inside] < 4.5 / np.sqrt(n * 64)).all()
    assert factor[inside].min() < 0.05 and np.abs(factor[0, 1:9] - factor[1:9, 0]).max() > 0.3
