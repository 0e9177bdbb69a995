"""Superposed free atoms against VASP's, against their own Fourier coefficients, and the kinds of a field."""

from pathlib import Path

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.convert import as_kind, evaluate_one_centre
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.fourier import coefficients, free_atom_coefficients
from rhotem.density.harmonics import real_harmonics
from rhotem.density.superpose import superpose
from rhotem.structure.model import Structure

CELL = np.array([[4.0, 0.0, 0.0], [-1.3, 4.4, 0.0], [0.7, 0.5, 5.1]])
DATA = Path(__file__).parents[1] / "data" / "density"


def _structure(symbols: str = "LiF", cell: np.ndarray = CELL) -> Structure:
    return Structure(ase.Atoms(symbols, scaled_positions=[[0.12, 0.3, 0.41], [0.6, 0.72, 0.9]], cell=cell, pbc=True))


def test_vasp_superposition_of_silicon_is_reproduced() -> None:
    """AECCAR1 of VASP, its own PBE atoms on its own grid, at every third point (tests/data/density/README.md)."""
    with np.load(DATA / "si_aeccar1.npz") as data:
        cell, fractional, shape, stride = data["cell"], data["fractional"], data["shape"], int(data["stride"])
        vasp = data["density"].astype(float)
    structure = Structure(ase.Atoms("Si2", scaled_positions=fractional, cell=cell, pbc=True))
    ours = superpose(structure, PeriodicGrid(cell, tuple(shape)), {14: 4})[::stride, ::stride, ::stride]
    distance = np.linalg.norm(
        _minimum_image(PeriodicGrid(cell, tuple(n // stride for n in shape)), structure.positions), axis=-1
    )
    bonding = distance > 0.15
    assert np.abs(ours - vasp)[bonding].sum() < 2e-4 * vasp[bonding].sum()
    assert ours[bonding] == pytest.approx(vasp[bonding], abs=2e-3)


def _minimum_image(grid: PeriodicGrid, centres: np.ndarray) -> np.ndarray:
    from ase.geometry import find_mic

    vectors = np.stack([find_mic((grid.points() - c).reshape(-1, 3), grid.cell)[0] for c in centres])
    nearest = np.linalg.norm(vectors, axis=2).argmin(0)
    return vectors[nearest, np.arange(grid.size)].reshape(*grid.shape, 3)


def test_smooth_valence_has_its_exact_fourier_coefficients() -> None:
    """Lithium 2s is smooth enough for a fine grid: sampled values and Bessel transforms must agree, sheared cell."""
    structure = _structure("Li2")
    grid = PeriodicGrid(CELL, (36, 40, 48))
    h = np.array([[0, 0, 0], [1, 0, 0], [0, 1, -1], [2, -1, 1], [0, 0, 3]])
    sampled = DensityField("valence", structure, grid, superpose(structure, grid, {3: 1}))
    exact = free_atom_coefficients(structure, h, {3: 1}) * grid.volume
    assert coefficients(sampled, h) * grid.volume == pytest.approx(exact, abs=2e-3)


def test_atoms_add_linearly_and_images_count() -> None:
    structure = _structure()
    grid = PeriodicGrid(CELL, (12, 14, 15))
    double = Structure(structure.atoms * (2, 1, 1))
    large = superpose(double, PeriodicGrid(double.cell, (24, 14, 15)))
    assert large[:12] == pytest.approx(superpose(structure, grid), rel=1e-6)
    moved = structure.atoms.copy()
    moved.positions += 3 * CELL[0] - 2 * CELL[2]
    assert superpose(Structure(moved), grid) == pytest.approx(superpose(structure, grid), rel=1e-6)


def test_superposition_at_points_is_the_sum_of_radial_densities() -> None:
    structure = _structure("CoO")
    grid = PeriodicGrid(CELL, (9, 10, 11))
    values = superpose(structure, grid, {27: 9, 8: 6})
    table = free_atoms.load()
    shifts = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), -1).reshape(-1, 3) @ CELL
    for index in [(0, 0, 0), (4, 7, 2), (1, 3, 4), (8, 9, 10)]:
        total = 0.0
        for z, electrons, position in zip((27, 8), (9, 6), structure.positions, strict=True):
            distance = np.linalg.norm(grid.points()[index] - position + shifts, axis=1)
            total += table.evaluate(z, distance, electrons).sum()
        assert values[index] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("shape", [(15, 16, 18), (30, 32, 36)])
def test_voxel_averages_are_exact_in_count_positive_and_nested(shape: tuple[int, int, int]) -> None:
    structure = _structure("CoO")
    grid = PeriodicGrid(CELL, shape)
    coarse = superpose(structure, grid, voxel_average=True)
    assert grid.integrate(coarse) == pytest.approx(35.0, abs=1e-9)
    assert coarse.min() > 0
    core = superpose(structure, grid, voxel_average=True) - superpose(structure, grid, {27: 17, 8: 6}, True)
    assert grid.integrate(core) == pytest.approx(12.0, abs=1e-9)
    fine = superpose(structure, PeriodicGrid(CELL, tuple(3 * n for n in shape)), voxel_average=True)
    nested = np.roll(fine, 1, (0, 1, 2)).reshape(shape[0], 3, shape[1], 3, shape[2], 3).mean((1, 3, 5))
    assert np.abs(coarse - nested).sum() < 0.01 * coarse.sum()
    assert coarse.max() == pytest.approx(nested.max(), rel=0.02)


def test_kinds_convert_there_and_back() -> None:
    structure = _structure("LiF")
    grid = PeriodicGrid(CELL, (20, 21, 24))
    noise = np.random.default_rng(0).normal(size=grid.shape) * 1e-3
    deformation = DensityField("deformation", structure, grid, noise - noise.mean())
    total = as_kind(deformation, "total")
    assert grid.integrate(total.values) == pytest.approx(12.0, abs=1e-9)
    assert "sinc" in total.record["attenuation"]
    valence = as_kind(deformation, "valence", {3: 3, 9: 7})
    assert valence.record["valence_by_element"] == {"3": 3.0, "9": 7.0}
    for field in (total, valence, as_kind(total, "valence")):
        assert as_kind(field, "deformation").values == pytest.approx(deformation.values, abs=1e-9)
    with pytest.raises(InputError, match="no valence of 5 electrons"):
        as_kind(deformation, "valence", {3: 5})


def test_one_centre_parts_go_onto_the_grid() -> None:
    """A Gaussian p function across the cell boundary, against its formula at every point."""
    structure = _structure("LiF")
    grid = PeriodicGrid(CELL, (24, 26, 30))
    radii = np.linspace(0, 1.5, 200)
    values = np.zeros((4, 200))
    values[0], values[3] = np.exp(-8 * radii**2), radii * np.exp(-8 * radii**2)
    field = DensityField("deformation", structure, grid, np.zeros(grid.shape), (OneCentre(1, radii, values),))
    vectors = _minimum_image(grid, structure.positions[1:]).reshape(-1, 3)
    r = np.linalg.norm(vectors, axis=1)
    y = real_harmonics(vectors, 1)
    exact = np.where(r < 1.5, (y[:, 0] + r * y[:, 3]) * np.exp(-8 * r**2), 0).reshape(grid.shape)
    assert evaluate_one_centre(field) == pytest.approx(exact, abs=1e-6)
    flat = as_kind(field, "deformation")
    assert flat.one_centre == ()
    h = np.array([[0, 0, 0], [1, 0, -1], [0, 2, 1]])
    assert coefficients(flat, h) == pytest.approx(coefficients(field, h), abs=1e-7)
