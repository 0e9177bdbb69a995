"""What coarser grids lose, known for Gaussians."""

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField, OneCentre
from rhotem.potential.convergence import convergence_table, grid_convergence
from rhotem.structure.model import Structure


def gaussian_field(width, one_centre=False):
    atoms = ase.Atoms("Co", positions=[[2.0, 2.0, 2.0]], cell=[4.0, 4.0, 4.0], pbc=True)
    structure = Structure(atoms)
    grid = PeriodicGrid(structure.cell, (80, 80, 80))
    d2 = ((grid.points() - 2.0) ** 2).sum(-1)
    values = np.exp(-d2 / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5
    values -= values.mean()
    if not one_centre:
        return DensityField("deformation", structure, grid, values)
    r = np.linspace(0.0, 1.2, 241)
    shape = np.sqrt(4 * np.pi) * np.exp(-(r**2) / (2 * width**2)) / (2 * np.pi * width**2) ** 1.5
    flat = PeriodicGrid(structure.cell, (8, 8, 8))
    background = np.full(flat.shape, -1.0 / flat.volume)
    return DensityField("deformation", structure, flat, background, (OneCentre(0, r, shape[None]),))


def lost_potential(width, spacing):
    """‖V‖ beyond the cube |h_i| < n/2 from the Fourier series of a Gaussian, exp(−2π²g²σ²)/g²."""
    n = PeriodicGrid.from_spacing(np.eye(3) * 4.0, spacing).shape[0]
    h = np.arange(-60, 61)
    h2 = (h[:, None, None] ** 2 + h[None, :, None] ** 2 + h[None, None, :] ** 2).astype(float)
    weight = np.zeros_like(h2)
    np.divide(np.exp(-4 * np.pi**2 * h2 / 16.0 * width**2), h2**2, out=weight, where=h2 > 0)
    kept = 2 * np.abs(h) < n
    inside = weight[np.ix_(kept, kept, kept)].sum()
    return np.sqrt(1 - inside / weight.sum())


@pytest.mark.parametrize("one_centre", [False, True])
def test_gaussian_against_its_fourier_series(one_centre):
    width = 0.12
    losses = grid_convergence(gaussian_field(width, one_centre), (0.4, 0.25))
    for loss in losses:
        assert loss.potential == pytest.approx(lost_potential(width, loss.spacing), rel=0.02)
    assert losses[0].density > losses[1].density > 0.01
    assert convergence_table(losses).count("\n") == 2


def test_a_smooth_field_loses_nothing():
    losses = grid_convergence(gaussian_field(0.4), (0.2, 0.1))
    assert max(loss.density for loss in losses) < 1e-6


def test_refusals():
    field = gaussian_field(0.4)
    with pytest.raises(InputError, match="positive"):
        grid_convergence(field, (0.2, 0.0))
    object.__setattr__(field, "kind", "valence")
    with pytest.raises(InputError, match="deformation"):
        grid_convergence(field)
