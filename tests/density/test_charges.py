"""Atomic charges of densities whose answer is known, and of ionic crystals."""

from pathlib import Path

import ase
import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.density.charges import _flow, _voronoi_neighbours, bader, hirshfeld_charges
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.superpose import superpose
from rhotem.structure.model import Structure

CELL = np.array([[5.0, 0.0, 0.0], [-1.3, 5.4, 0.0], [0.7, 0.5, 6.1]])
POSITIONS = [[0.1, 0.2, 0.3], [0.6, 0.7, 0.8]]


def _gaussian(grid: PeriodicGrid, centre: np.ndarray, sigma: float) -> np.ndarray:
    from ase.geometry import find_mic

    r = find_mic((grid.points() - centre).reshape(-1, 3), grid.cell)[1].reshape(grid.shape)
    return np.exp(-0.5 * (r / sigma) ** 2) / (2 * np.pi * sigma**2) ** 1.5


def _molecule(charge: float = 0.0) -> tuple[Structure, PeriodicGrid]:
    atoms = ase.Atoms("NaCl", scaled_positions=POSITIONS, cell=CELL, pbc=True)
    return Structure(atoms, charge=charge), PeriodicGrid(CELL, (50, 54, 60))


def test_weights_of_a_cubic_and_a_sheared_grid_fill_space() -> None:
    """Σ faces (area/distance) d dᵀ = 3·volume on average: the identity that makes Voronoi gradients exact."""
    for cell in (np.eye(3), CELL, np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1.0]])):
        grid = PeriodicGrid(cell, (7, 8, 6))
        offsets, weights = _voronoi_neighbours(grid)
        d = offsets @ (grid.cell / np.array(grid.shape)[:, None])
        assert np.einsum("n,ni,nj->ij", weights, d, d) == pytest.approx(2 * grid.voxel_volume * np.eye(3), abs=1e-6)
    assert len(_voronoi_neighbours(PeriodicGrid(np.eye(3), (8, 8, 8)))[0]) == 6


def test_flow_shares_a_cosine_equally_and_loses_nothing() -> None:
    grid = PeriodicGrid(CELL, (20, 22, 24))
    fractional = np.stack(np.meshgrid(*[np.arange(n) / n for n in grid.shape], indexing="ij"), -1)
    density = 4.0 + np.cos(4 * np.pi * fractional[..., 0]) + np.cos(2 * np.pi * fractional[..., 1:]).sum(-1)
    maxima, arrived = _flow(grid, density, np.stack([density, np.ones(grid.shape)], -1))
    assert sorted(map(tuple, maxima)) == [(0, 0, 0), (10, 0, 0)]
    assert arrived[0] == pytest.approx(arrived[1], rel=1e-9)
    assert arrived.sum(0) == pytest.approx([density.sum(), grid.size])


def test_separated_gaussians_keep_their_charge() -> None:
    """Half an electron moved from Na to Cl as narrow Gaussians: both partitions must find it."""
    structure, grid = _molecule()
    na, cl = (_gaussian(grid, p, 0.3) for p in structure.positions)
    field = DensityField("deformation", structure, grid, 0.5 * (cl - na))
    assert hirshfeld_charges(field) == pytest.approx([0.5, -0.5], abs=0.01)
    neutral = bader(DensityField("deformation", structure, grid, np.zeros(grid.shape)))
    moved = bader(field)
    assert moved.charges - neutral.charges == pytest.approx([0.5, -0.5], abs=0.03)
    assert moved.volumes.sum() == pytest.approx(grid.volume)
    assert moved.attractors == 0


@pytest.mark.parametrize("weights", ["total", "valence"])
def test_charges_sum_to_the_charge_of_the_cell(weights: str) -> None:
    structure, grid = _molecule(charge=1.0)
    hole = -_gaussian(grid, structure.positions[1] + [0.5, 0.1, 0.2], 0.7)
    field = DensityField("deformation", structure, grid, hole / grid.integrate(-hole))
    assert hirshfeld_charges(field, weights).sum() == pytest.approx(1.0, abs=1e-9)  # type: ignore[arg-type]  # literal
    assert bader(field).charges.sum() == pytest.approx(1.0, abs=1e-6)


def test_hirshfeld_is_the_stockholder_share() -> None:
    """Δn = c·n_Na: q_a = −c ∫ n_a n_Na/(n_Na + n_Cl), formed here from whole-atom superpositions."""
    structure, grid = _molecule()
    na = superpose(structure, grid, {11: 1, 17: 0})
    cl = superpose(structure, grid, {11: 0, 17: 7})
    field = DensityField("deformation", structure, grid, 0.1 * na, record={"valence_by_element": {"11": 1, "17": 7}})
    expected = [-0.1 * grid.integrate(n * na / (na + cl)) for n in (na, cl)]
    assert hirshfeld_charges(field, "valence") == pytest.approx(expected, abs=1e-6)


def test_one_centre_electrons_belong_to_their_atom() -> None:
    structure, grid = _molecule()
    radii = np.linspace(0.0, 1.2, 150)
    shape = np.exp(-20.0 * radii**2)[None] * np.sqrt(4 * np.pi)
    term = OneCentre(1, radii, 0.2 * shape * (20 / np.pi) ** 1.5)
    field = DensityField("deformation", structure, grid, np.broadcast_to(0.0, grid.shape), (term,))
    assert hirshfeld_charges(field) == pytest.approx([0.0, -0.2], abs=1e-5)


def test_sodium_chloride_of_vasp_is_ionic() -> None:
    """Beside another program: pybader 0.3.12 (near-grid method) partitions the same total density into these electrons.

    The literature has 0.84–0.88 e. The file lacks 0.04 e, because its valence is pseudised near the nuclei.
    """
    from rhotem.density.files import read_density

    path = Path(__file__).parents[1] / "data" / "vasp" / "NaCl.CHGCAR.gz"
    raw = read_density(path)
    structure = Structure(raw.structure.atoms)
    field = DensityField("valence", structure, raw.grid, raw.values, record={"valence_by_element": {"11": 1, "17": 7}})
    result = bader(field)
    sodium = structure.numbers == 11
    assert result.charges[sodium] == pytest.approx(11 - 10.1316, abs=5e-3)
    assert result.charges[~sodium] == pytest.approx(17 - 17.8301, abs=5e-3)
    assert result.volumes[sodium] == pytest.approx(9.703, abs=0.15)
    assert result.charges.sum() == pytest.approx(0.0, abs=0.05)
