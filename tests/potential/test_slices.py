"""Slices of the potential: mapping to the imaging cell, sums, symmetry, precision, refusals."""

from itertools import product

import ase
import numpy as np
import pytest
from ase.build import bulk

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.core.units import EPS0, MOTT_BETHE, VOLT_PER_FE
from rhotem.density.field import DensityField
from rhotem.density.free_atoms import FreeAtoms
from rhotem.potential import build_potential, plane_waves
from rhotem.potential.crystal import structure_factors
from rhotem.potential.deformation import deformation_coefficients, wave_slices
from rhotem.potential.plane_waves import HalfPlane, PlaneWaves
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell, orient


def random_atoms(seed=3, number=6):
    rng = np.random.default_rng(seed)
    return ase.Atoms(
        rng.choice([3, 8, 27], number), scaled_positions=rng.random((number, 3)), cell=[4.2, 5.1, 6.0], pbc=True
    )


def slices_of(atoms, shape=(36, 44, 6), **options):
    grid = PeriodicGrid(atoms.cell.array, shape)
    options.setdefault("parametrization", "lobato")
    options.setdefault("precision", "double")
    return build_potential(ImagingCell.from_orthogonal(Structure(atoms)), grid, **options)


def random_field(structure, shape=(8, 8, 8), seed=0, charge=0.0):
    """Band-limited real field without weight on the Nyquist planes."""
    grid = PeriodicGrid(structure.cell, shape)
    rng = np.random.default_rng(seed)
    coefficients = np.fft.fftn(rng.normal(size=shape))
    for axis, n in enumerate(shape):
        if n % 2 == 0:
            np.moveaxis(coefficients, axis, 0)[n // 2] = 0
    values = np.fft.ifftn(coefficients).real
    values += -charge / grid.volume - values.mean()
    return DensityField("deformation", structure, grid, values, source="random")


def mott_bethe_units():
    return VOLT_PER_FE * MOTT_BETHE * 4 * np.pi**2 * EPS0


def test_constants_of_mott_bethe_and_poisson_agree():
    assert mott_bethe_units() == pytest.approx(1.0, abs=1e-8)


def test_fcc_primitive_coefficients_in_the_110_cell():
    """Every crystal coefficient is found again in the imaging cell's slices, to 1e-10."""
    silicon = bulk("Si")
    silicon.positions += [0.11, 0.23, 0.37]
    crystal = Structure(silicon)
    field = random_field(crystal)
    cell = orient(crystal, (1, 1, 0))
    assert cell.max_strain < 1e-12
    grid = PeriodicGrid(cell.structure.cell, (24, 40, 32))
    indices, potential = deformation_coefficients(cell, field, 10.0)
    out = np.zeros((32, *HalfPlane(grid).shape), dtype=complex)
    wave_slices(grid, indices, potential)(range(32), out)
    h = np.array([t for t in product(range(-3, 4), repeat=3) if t != (0, 0, 0)])
    direct = structure_factors(field, cell.crystal, h, lambda z, g: np.zeros_like(g))
    checked = 0
    for (h_x, h_y, h_z), value in zip(h @ cell.transform.T, direct, strict=True):
        if h_y < 0:
            continue
        s = np.arange(32)
        wave = np.exp(-2j * np.pi * h_z * (s + 0.5) / 32) / (32 * grid.cell[2, 2] / 32 * np.sinc(h_z / 32))
        found = (out[:, h_x + 12, h_y] * wave).sum()
        assert abs(found - value) < 1e-10 * np.abs(direct).max()
        checked += 1
    assert checked > 150


def test_map_follows_the_atoms_of_the_imaging_cell():
    """A field peaked on the atoms must end up on the imaging cell's atoms, wherever its origin is."""
    silicon = bulk("Si")
    silicon.positions += [0.2, 0.4, 0.1]
    crystal = Structure(silicon)
    grid = PeriodicGrid.from_spacing(crystal.cell, 0.2)
    g2 = grid.g_squared()
    h = np.stack(np.meshgrid(*grid.indices(), indexing="ij"), -1)
    phases = np.exp(-2j * np.pi * (h @ silicon.get_scaled_positions().T)).sum(-1)
    values = grid.inverse_fourier(-np.exp(-2 * np.pi**2 * g2 * 0.4**2) * phases)
    field = DensityField("deformation", crystal, grid, values)
    cell = orient(crystal, (1, 1, 0))
    fine = PeriodicGrid.from_spacing(cell.structure.cell, 0.15)
    potential = build_potential(cell, fine, field, parametrization=lambda z, g: 1e-9 / (1.0 + np.asarray(g) ** 2))
    positions = np.rint(cell.structure.atoms.get_scaled_positions() * fine.shape).astype(int) % fine.shape
    at_atoms = potential.array[positions[:, 2], positions[:, 0], positions[:, 1]]
    # Electrons missing at the atoms: the potential is highest there.
    assert at_atoms.min() > np.percentile(potential.array, 97)


def test_slices_add_up_to_the_projection():
    atoms = random_atoms()
    many, one = slices_of(atoms), slices_of(atoms, (36, 44, 1))
    np.testing.assert_allclose(many.projected(), one.projected(), atol=1e-9 * np.abs(one.array).max())


def test_shift_across_the_beam_shifts_the_slices():
    atoms, moved = random_atoms(), random_atoms()
    moved.positions += [4 * 4.2 / 36, 7 * 5.1 / 44, 0]
    moved.wrap()
    a, b = slices_of(atoms).array, slices_of(moved).array
    np.testing.assert_allclose(np.roll(a, (4, 7), axis=(1, 2)), b, atol=1e-9 * np.abs(a).max())


def test_shift_below_a_pixel_is_a_phase():
    atoms, moved = random_atoms(), random_atoms()
    shift = np.array([0.0431, -0.0717])
    moved.positions[:, :2] += shift
    moved.wrap()
    a, b = (np.fft.fft2(slices_of(x).array) for x in (atoms, moved))
    h_x, h_y = np.fft.fftfreq(36) * 36, np.fft.fftfreq(44) * 44
    phase = np.exp(-2j * np.pi * (h_x[:, None] * shift[0] / 4.2 + h_y * shift[1] / 5.1))
    inside = (np.abs(h_x) < 18)[:, None] & (np.abs(h_y) < 22)
    np.testing.assert_allclose((a * phase)[:, inside], b[:, inside], atol=1e-9 * np.abs(a).max())


def test_shift_by_a_slice_rolls_the_slices():
    atoms, moved = random_atoms(), random_atoms()
    moved.positions[:, 2] += 1.0
    moved.wrap()
    a, b = slices_of(atoms).array, slices_of(moved).array
    np.testing.assert_allclose(np.roll(a, 1, axis=0), b, atol=1e-6 * np.abs(a).max())


def test_atoms_exactly_on_slice_boundaries_are_split_in_two():
    atoms = ase.Atoms("Co", positions=[[1.0, 1.0, 2.0]], cell=[4, 4, 8], pbc=True)
    array = slices_of(atoms, (32, 32, 8)).array
    np.testing.assert_allclose(array[1], array[2], atol=1e-6 * array.max())
    np.testing.assert_allclose(array[0], array[3], atol=1e-6 * array.max())


def test_repeated_cell_is_the_cell_repeated():
    cell = ImagingCell.from_orthogonal(Structure(random_atoms()))
    small = build_potential(cell, PeriodicGrid(cell.structure.cell, (36, 44, 6)), parametrization="lobato")
    grown = cell.repeated(2, 1, 2)
    large = build_potential(grown, PeriodicGrid(grown.structure.cell, (72, 44, 12)), parametrization="lobato")
    np.testing.assert_allclose(np.tile(small.array, (2, 2, 1)), large.array, atol=2e-5 * small.array.max())


@pytest.mark.parametrize("shape", [(36, 44, 6), (35, 45, 6)])
def test_single_precision(shape):
    atoms = random_atoms()
    a, b = slices_of(atoms, shape), slices_of(atoms, shape, precision="single")
    assert b.array.dtype == np.float32
    assert np.abs(a.array - b.array).max() < 1e-5 * np.abs(a.array).max()


@pytest.mark.parametrize(("shape", "dtype", "bar"), [((18, 22), np.complex128, 1e-10), ((17, 23), np.complex64, 1e-5)])
def test_nufft_and_matrix_products_agree(shape, dtype, bar, monkeypatch):
    rng = np.random.default_rng(0)
    plane = HalfPlane(PeriodicGrid(np.diag([3.0, 4.0, 5.0]), (*shape, 2)))
    waves = PlaneWaves(plane, rng.random((50, 2)), dtype)
    weights = rng.normal(size=(50, 3))
    for cutoff in (1.5, 100.0):
        block = plane.disk(cutoff)
        direct = waves.sum(np.arange(50), weights, block)
        monkeypatch.setattr(plane_waves, "NUFFT_FROM", 1)
        fast = waves.sum(np.arange(50), weights, block)
        monkeypatch.undo()
        assert np.abs(direct - fast).max() < bar * np.abs(direct).max()


def test_memory_limit_changes_nothing_but_memory():
    atoms = random_atoms()
    free, tight = slices_of(atoms), slices_of(atoms, memory_limit=2.2e6)
    np.testing.assert_allclose(free.array, tight.array, atol=1e-12 * np.abs(free.array).max())
    with pytest.raises(MemoryLimitError, match="GB"):
        slices_of(atoms, memory_limit=1e4)


def test_net_charge_is_compensated_by_a_background():
    """The same field with a uniform charge on top gives the same potential."""
    crystal = Structure(random_atoms())
    neutral, charged = (random_field(crystal, charge=q) for q in (0.0, 1.0))
    cell = ImagingCell.from_orthogonal(crystal)
    grid = PeriodicGrid(crystal.cell, (24, 24, 4))
    a, b = (build_potential(cell, grid, f, parametrization=lambda z, g: 1.0 / (1 + g**2)) for f in (neutral, charged))
    np.testing.assert_allclose(a.array, b.array, atol=1e-6 * np.abs(a.array).max())


def test_record_says_where_the_charge_is():
    """Free atoms are neutral whatever the charge; a density that integrates to −q is compensated."""
    charged = Structure(random_atoms(), charge=1.0)
    cell, grid = ImagingCell.from_orthogonal(charged), PeriodicGrid(charged.cell, (24, 24, 4))
    options = {"parametrization": lambda z, g: 1.0 / (1 + g**2)}
    free = FreeAtoms()(charged, grid)
    bonded = random_field(charged, charge=1.0)
    neutral = random_field(Structure(random_atoms()))
    said = [build_potential(cell, grid, f, **options).record["net_charge"] for f in (free, bonded, neutral)]
    assert "+1 e" in said[0] and "left out" in said[0] and "background" not in said[0]
    assert "+1 e" in said[1] and "uniform background" in said[1]
    assert said[2] == "none"


def test_smearing_counts_every_atom_once():
    """Li2O: twice as many Li as O, so (2 u_Li + u_O)/3."""
    atoms = ase.Atoms("Li2O", scaled_positions=[[0.1, 0, 0], [0.5, 0.4, 0.2], [0, 0.6, 0.7]], cell=[4, 5, 6], pbc=True)
    crystal = Structure(atoms)
    cell, grid = ImagingCell.from_orthogonal(crystal), PeriodicGrid(crystal.cell, (24, 24, 4))
    moved = np.zeros((3, 3))
    record = build_potential(
        cell, grid, random_field(crystal), displacements=moved, deformation_msd=np.array([0.016, 0.016, 0.007])
    ).record
    assert record["deformation_msd_A2"] == pytest.approx(0.013)
    assert record["deformation_msd"] == "mean over the atoms of the imaging cell"


def test_strain_keeps_the_electron_count():
    """Fractional coordinates carry over; n_h scales by V_old/V_new, so Ω n_h stays."""
    crystal = Structure(random_atoms())
    field = random_field(crystal)
    strained_atoms = crystal.atoms.copy()
    strained_atoms.set_cell(crystal.cell * np.array([1.01, 0.995, 1.002]), scale_atoms=True)
    strained = Structure(strained_atoms)
    h = np.array([[1, 0, 0], [2, -1, 3], [0, 3, 1]])

    def electrons(structure):
        g2 = ((h @ np.linalg.inv(structure.cell).T) ** 2).sum(1)
        return structure_factors(field, structure, h, lambda z, g: np.zeros_like(g)) * g2 * structure.volume

    np.testing.assert_allclose(electrons(crystal), electrons(strained), rtol=1e-10)


def test_averaged_phonons_are_a_debye_waller_factor():
    crystal = Structure(random_atoms())
    field, cell = random_field(crystal), ImagingCell.from_orthogonal(Structure(random_atoms()))
    indices, still = deformation_coefficients(cell, field, 10.0)
    _, moving = deformation_coefficients(cell, field, 10.0, damping=0.01)
    g2 = ((indices @ np.linalg.inv(crystal.cell).T) ** 2).sum(1)
    np.testing.assert_allclose(moving, still * np.exp(-2 * np.pi**2 * g2 * 0.01), rtol=1e-12)


def test_displaced_atoms_move_exactly():
    atoms = random_atoms()
    u = np.random.default_rng(1).normal(0, 0.1, (len(atoms), 3))
    moved = random_atoms()
    moved.positions += u
    np.testing.assert_allclose(slices_of(atoms, displacements=u).array, slices_of(moved).array, atol=1e-8)


def test_bad_input_is_one_line():
    atoms = random_atoms()
    cell = ImagingCell.from_orthogonal(Structure(atoms))
    grid = PeriodicGrid(atoms.cell.array, (16, 16, 2))
    cases = [
        ({"grid": PeriodicGrid(atoms.cell.array * 1.1, (16, 16, 2))}, "imaging cell"),
        ({"grid": PeriodicGrid([[4, 0, 0], [1, 5, 0], [0, 0, 6]], (16, 16, 2))}, "orient"),
        ({"parametrization": "peng"}, "lobato"),
        ({"displacements": np.zeros((2, 3))}, "one vector per atom"),
        ({"field": random_field(Structure(random_atoms(9)))}, "not those of the crystal"),
        ({"field": random_field(Structure(atoms)), "deformation_phonons": "thermal"}, "averaged"),
    ]
    for options, words in cases:
        given = {"grid": grid, "parametrization": lambda z, g: 1.0 / (1 + g**2)} | options
        with pytest.raises(InputError, match=words) as error:
            build_potential(cell, **given)
        assert "\n" not in str(error.value)
    total = random_field(Structure(atoms))
    object.__setattr__(total, "kind", "total")
    with pytest.raises(InputError, match="deformation"):
        build_potential(cell, grid, total, parametrization=lambda z, g: 1.0 / (1 + g**2))
