"""Radial functions, harmonics, couplings, pairs and Fourier coefficients against independent references."""

import ase.build
import numpy as np
import pytest
import torch
from ase.neighborlist import primitive_neighbor_list
from scipy.spatial.transform import Rotation

from rhotem.core import PeriodicGrid
from rhotem.density.harmonics import real_harmonics
from rhotem.learned.coefficients import atom_coefficients
from rhotem.learned.couplings import coupling, couplings, part
from rhotem.learned.grid import on_grid
from rhotem.learned.pairs import atom_pairs, probe_pairs
from rhotem.learned.radial import Block
from rhotem.learned.settings import ModelSettings
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_learned
from rhotem.training.loss import plane_indices
from rhotem.training.network.model import make_model
from rhotem.training.network.radial import geometric_weight
from rhotem.training.network.readouts.fourier import fourier, make_tables
from rhotem.training.network.tensor import solid_harmonics

BLOCK = Block(0.07, 0.8, 9, 4, 2.2)


def test_solid_harmonics_follow_the_conventions():
    v = np.random.default_rng(0).normal(size=(40, 3))
    r = np.linalg.norm(v, axis=1)
    got = solid_harmonics(torch.from_numpy(v), 4).numpy()
    powers = np.concatenate([np.repeat(r[:, None] ** l, 2 * l + 1, axis=1) for l in range(5)], axis=1)
    np.testing.assert_allclose(got, real_harmonics(v, 4) * powers, atol=1e-12)


@pytest.mark.parametrize("path", couplings(4, 4, 4))
def test_couplings_turn_with_their_arguments(path):
    rng = np.random.default_rng(1)
    v, w = rng.normal(size=(2, 12, 3))
    turn = Rotation.from_rotvec([0.4, -0.2, 1.3]).as_matrix()

    def couple(a: np.ndarray, b: np.ndarray) -> torch.Tensor:
        y = [solid_harmonics(torch.from_numpy(x), 4)[:, part(l)] for x, l in zip((a, b), path[:2], strict=True)]
        return torch.einsum("na,nb,abc->nc", *y, torch.tensor(coupling(*path)))

    # D of l3 from harmonics themselves: Y(turned v) = Y(v) D
    plain = solid_harmonics(torch.from_numpy(v), 4)[:, part(path[2])]
    turned = solid_harmonics(torch.from_numpy(v @ turn.T), 4)[:, part(path[2])]
    matrix = torch.linalg.lstsq(plain, turned).solution
    torch.testing.assert_close(couple(v @ turn.T, w @ turn.T), couple(v, w) @ matrix, atol=1e-9, rtol=1e-9)


def test_neighbours_as_ase_finds_them():
    cell = np.array([[2.0, 0, 0], [0.3, 2.1, 0], [0.1, 0.2, 2.5]])
    positions = np.array([[0.0, 0, 0], [1.0, 1.0, 1.0], [7.0, -3.0, 0.4]])
    i, j, v = atom_pairs(positions, cell, 3.9)
    a, b, d = primitive_neighbor_list("ijD", [True] * 3, cell, positions, 3.9)

    def key(x, y, z):
        return sorted(zip(x.tolist(), y.tolist(), np.round(z, 6).tolist(), strict=True))

    assert key(i, j, np.linalg.norm(v, axis=1)) == key(a, b, np.linalg.norm(d, axis=1))


def test_a_probe_on_a_nucleus_is_a_pair():
    point, atom, v = probe_pairs(np.zeros((1, 3)), np.zeros((1, 3)), np.eye(3) * 6.0, 2.0)
    assert point.tolist() == [0] and atom.tolist() == [0] and np.abs(v).max() == 0.0


def test_radial_functions_resolve_tenths_of_an_angstrom_and_end_smoothly():
    r = np.linspace(0.0, 2.5, 2501)
    f = BLOCK.radial(r)
    assert r[np.argmax(f[0] < 0.5)] < 0.1
    assert np.abs(f[:, r > 2.2]).max() == 0.0
    assert np.abs(f[:, np.argmin(abs(r - 2.19))]).max() < 1e-5


@pytest.mark.parametrize("l", range(5))
def test_sharp_functions_are_made_orthonormal(l):
    r, w = BLOCK.quadrature
    f = BLOCK.orthonormal(l).T @ (BLOCK.radial(r) * r**l)
    overlap = (f * (w * r**2)) @ f.T
    values = np.linalg.eigvalsh(overlap)
    assert values.max() < 1.001 and values.max() / values.min() < 1e3


def test_transform_at_zero_is_the_electron_count_and_of_a_gaussian_is_a_gaussian():
    block = Block(0.1, 0.3, 3, 0, 6.0)
    np.testing.assert_allclose(block.transform(np.zeros(1), 0)[:, 0] / np.sqrt(4 * np.pi), block.electrons, rtol=1e-9)
    g = np.array([0.0, 0.5, 1.5])
    got = block.transform(g, 0)[0] / block.transform(g, 0)[0, 0]
    np.testing.assert_allclose(got, np.exp(-2.0 * (np.pi * 0.1 * g) ** 2), atol=2e-3)  # the end function is not 1


def test_geometric_weight_as_specified():
    u = torch.tensor([0.0, 0.5, 1.0, 1.3], dtype=torch.float64, requires_grad=True)
    w = geometric_weight(u)
    np.testing.assert_allclose(w.detach(), [1.0, 0.5, 0.0, 0.0], atol=1e-14)
    (slope,) = torch.autograd.grad(w.sum(), u)
    np.testing.assert_allclose(slope, [0.0, -1.875, 0.0, 0.0], atol=1e-12)


def test_analytic_coefficients_are_those_of_the_grid():
    structure = Structure(ase.build.bulk("NaCl", "rocksalt", a=4.2))
    structure.atoms.positions[1] += [0.1, -0.2, 0.05]
    model = make_model(ModelSettings(elements=[11, 17]), seed=3).double().eval()
    grid = PeriodicGrid(structure.cell, (36, 36, 36))
    c = atom_coefficients(as_learned(model), structure)
    c[0][:, :4] = 0.0  # what the grid can hold
    values = on_grid(model.readout.blocks, c, structure.positions, grid)
    h = plane_indices(grid)
    tables = make_tables(model.readout.blocks, h @ grid.reciprocal, structure.positions, grid.volume, torch.float64)
    reference = grid.fourier(values)[tuple(h.T)]
    np.testing.assert_allclose(
        fourier(tuple(torch.from_numpy(a) for a in c), tables).numpy(), reference, atol=1e-4 * np.abs(reference).max()
    )
