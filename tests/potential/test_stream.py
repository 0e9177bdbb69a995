"""Streamed potentials against those made in memory and against analytic ones."""

import ase
import numpy as np
import pytest
from scipy.special import erf

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.core.units import EPS0
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.stream import streamed
from rhotem.potential import build_potential
from rhotem.potential import stream as module
from rhotem.potential.files import read_potential
from rhotem.potential.stream import potential_stream, stream_potential
from rhotem.potential.stream_read import open_potential
from rhotem.potential.stream_sharp import Gaussians, Splitter, add_to_plane
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell

CELL = np.diag([4.6, 4.9, 6.3])
RADII = np.linspace(0.0, np.sqrt(2.2), 160) ** 2


def field(one_centre: bool = True, shape: tuple[int, int, int] = (24, 25, 32)) -> DensityField:
    """Band-limited noise, and sharp lobes of every l that end smoothly, on two atoms across the cell's faces."""
    rng = np.random.default_rng(0)
    structure = Structure(ase.Atoms("OF", [[0.1, 0.2, 0.3], [2.4, 4.8, 6.171]], cell=CELL, pbc=True))
    grid = PeriodicGrid(CELL, shape)
    noise = grid.fourier(rng.normal(size=shape)) * np.exp(-2.0 * grid.g_squared())
    noise[0, 0, 0] = 0.0
    terms = []
    for atom, sigma in enumerate((0.09, 0.2)):
        values = np.zeros((25, len(RADII)))
        for l in range(5):
            shape_l = (RADII / sigma) ** l * np.exp(-0.5 * (RADII / sigma) ** 2) + 0.05 * RADII**l * np.exp(
                -2 * RADII**2
            )
            values[l * l : (l + 1) ** 2] = rng.normal(size=(2 * l + 1, 1)) * shape_l * (1.0 - (RADII / 2.2) ** 2) ** 3
        terms.append(OneCentre(atom, RADII, values))
    chosen = tuple(terms) if one_centre else ()
    return DensityField("deformation", structure, grid, grid.inverse_fourier(noise), one_centre=chosen)


def both(density: DensityField, grid: PeriodicGrid, path, **options) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Streamed, in memory, and the deformation's share of it."""
    cell = ImagingCell.from_orthogonal(density.structure)
    memory = build_potential(cell, grid, density, precision="double")
    free = build_potential(cell, grid, precision="double")
    got = read_potential(stream_potential(streamed(density), grid, path / "v.zarr", precision="double", **options))
    assert got.mean_inner_potential == pytest.approx(memory.mean_inner_potential)
    assert got.grid == memory.grid
    return got.array, memory.array, memory.array - free.array


@pytest.mark.parametrize("shape", [(48, 50, 6), (24, 25, 32), (27, 30, 1)])
def test_a_smooth_density_streams_to_the_same_slices(tmp_path, shape):
    got, memory, _ = both(field(one_centre=False), PeriodicGrid(CELL, shape), tmp_path)
    np.testing.assert_allclose(got, memory, atol=1e-9 * np.abs(memory).max())


def test_sharp_parts_stream_to_the_same_slices(tmp_path):
    """In memory they are cut at 8 1/Å; every streamed slice has them whole."""
    got, memory, share = both(field(), PeriodicGrid(CELL, (60, 60, 6)), tmp_path)
    assert np.abs(got - memory).max() < 1e-3 * np.abs(share).max()
    # coefficients that the multislice uses
    difference, own = (np.fft.fft2(a)[:, :10, :10] for a in (got - memory, share))
    assert np.abs(difference).max() < 1e-4 * np.abs(own).max()


@pytest.mark.parametrize("one_centre", [False, True])
def test_displaced_atoms_and_a_smeared_density_stream_to_the_same_slices(tmp_path, one_centre):
    """Frozen phonons: two configurations from one preparation, against those made in memory."""
    density, grid = field(one_centre), PeriodicGrid(CELL, (60, 60, 6))
    cell, msd = ImagingCell.from_orthogonal(density.structure), 0.012
    rng = np.random.default_rng(5)
    limit = 1e-3 if one_centre else 1e-9
    how = {"precision": "double", "deformation_msd": msd, "oversampling": 2}
    with potential_stream(streamed(density), grid, tmp_path / "v.zarr", **how) as write:
        for number in range(2):
            moved = rng.normal(0.0, np.sqrt(msd), (2, 3))
            got = open_potential(write(tmp_path / f"{number}.zarr", moved))
            options = {"displacements": moved, "precision": "double"}
            memory = build_potential(cell, grid, density, deformation_msd=msd, **options)
            share = memory.array - build_potential(cell, grid, **options).array
            assert np.abs(np.asarray(got.array) - memory.array).max() < limit * np.abs(share).max()
            assert got.record["displaced"] and got.wave_grid == (30, 30)
            assert got.record["deformation_msd_A2"] == memory.record["deformation_msd_A2"]
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["0.zarr", "1.zarr"]


def test_small_blocks_change_nothing(tmp_path, monkeypatch):
    density, grid = field(), PeriodicGrid(CELL, (48, 50, 3))
    whole = read_potential(stream_potential(streamed(density), grid, tmp_path / "a.zarr", precision="double")).array
    monkeypatch.setattr(module, "BLOCK", 5e4)
    pieces = read_potential(stream_potential(streamed(density), grid, tmp_path / "b.zarr", precision="double")).array
    np.testing.assert_allclose(pieces, whole, atol=1e-12 * np.abs(whole).max())
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["a.zarr", "b.zarr"]
    single = read_potential(stream_potential(streamed(density), grid, tmp_path / "c.zarr")).array
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, whole, atol=2e-5 * np.abs(whole).max())


def test_the_potential_of_a_gaussian_charge():
    """The potential of a Gaussian is the error function over r; its parts hold its charge."""
    sigma, step = 0.12, 0.19
    splitter = Splitter(RADII, 4, step)
    r = np.linspace(0.02, 8.0, 400)
    table = np.exp(-0.5 * (RADII / sigma) ** 2)[None]
    short, wide = splitter.split([table])
    potential = np.exp(-0.5 * (r[:, None] / splitter.short_sigma) ** 2) @ short[0, :, 0]
    charge = (2.0 * np.pi) ** 1.5 * sigma**3
    for width, coefficient in zip(splitter.wide_sigma, wide[0, :, 0], strict=True):
        own = coefficient * (2.0 * np.pi) ** 1.5 * width**3
        potential -= own * erf(r / (np.sqrt(2.0) * width)) / (4.0 * np.pi * EPS0 * r)
    exact = -charge * erf(r / (np.sqrt(2.0) * sigma)) / (4.0 * np.pi * EPS0 * r)
    np.testing.assert_allclose(potential, exact, atol=1e-4 * np.abs(exact).max())
    assert wide[0, :, 0] @ ((2.0 * np.pi) ** 1.5 * splitter.wide_sigma**3) == pytest.approx(charge, rel=1e-6)


def test_slices_of_gaussians_add_up_to_their_integral():
    rng = np.random.default_rng(1)
    polynomials = rng.normal(size=(1, 2, 35))
    parts = Gaussians(np.array([[0.1, 4.8, 0.2]]), np.array([0.2, 0.35]), polynomials)
    total = 0.0
    for s in range(7):
        plane = np.zeros((50, 53))
        add_to_plane(plane, parts, np.diag(CELL), (s * 0.9, (s + 1) * 0.9))
        total += plane.sum() * 4.6 * 4.9 / plane.size
    assert total == pytest.approx(parts.integral(), rel=1e-6)


def test_what_does_not_fit_is_refused(tmp_path):
    density = streamed(field())
    with pytest.raises(InputError, match="coarser"):
        stream_potential(density, PeriodicGrid(CELL, (20, 25, 4)), tmp_path / "v.zarr")
    with pytest.raises(InputError, match="not the density's cell"):
        stream_potential(density, PeriodicGrid(CELL * 1.1, (48, 50, 4)), tmp_path / "v.zarr")
    with pytest.raises(MemoryLimitError, match="allowed"):
        stream_potential(density, PeriodicGrid(CELL, (48, 50, 4)), tmp_path / "v.zarr", memory_limit=1e4)
    assert not list(tmp_path.iterdir())
