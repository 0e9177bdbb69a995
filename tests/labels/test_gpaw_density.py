"""Deformation density of GPAW calculations: against free atoms, real space, counts and moments."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.special import sph_harm_y

from rhotem.core import InputError, PeriodicGrid
from rhotem.labels.gpaw_density import PawSet, deformation_field, padded
from rhotem.labels.gpaw_settings import DftSettings
from rhotem.labels.gpaw_source import run
from rhotem.structure.model import Structure

pytestmark = pytest.mark.gpaw
ELEMENTS = (
    "H",
    "Li",
    "C",
    "N",
    "O",
    "F",
    "Na",
    "Al",
    "Si",
    "P",
    "S",
    "Cl",
    "Ti",
    "V",
    "Mn",
    "Fe",
    "Co",
    "Ni",
    "Sr",
    "La",
)


@pytest.fixture(scope="module")
def paw_sets():
    from gpaw.setup_data import SetupData

    return {symbol: SetupData(symbol, "PBE") for symbol in ELEMENTS}


@pytest.fixture(scope="module")
def low_symmetry():
    """LiF with F off its site: every l of the one-centre expansion is filled."""
    atoms = bulk("LiF", "rocksalt", a=4.03)
    atoms.positions[1] += [0.11, -0.23, 0.31]
    structure = Structure(atoms)
    return structure, run(structure, DftSettings(kpts=(2, 2, 2)))


def real_harmonic(l, m, unit):
    """docs/conventions.md, from complex harmonics with the Condon–Shortley sign."""
    value = sph_harm_y(l, abs(m), np.arccos(unit[:, 2]), np.arctan2(unit[:, 1], unit[:, 0])) * (-1) ** m
    return value.real if m == 0 else np.sqrt(2) * (value.imag if m < 0 else value.real)


def test_harmonics_of_gpaw_are_those_of_the_conventions(rng):
    from gpaw.sphere.spherical_harmonics import Y

    unit = rng.normal(size=(20, 3))
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    for l in range(7):
        for m in range(-l, l + 1):
            assert Y(l**2 + l + m, *unit.T) == pytest.approx(real_harmonic(l, m, unit), abs=1e-10), (l, m)


def test_free_atoms_of_the_paw_sets_are_those_of_the_shipped_table(paw_sets):
    from rhotem.density.free_atoms import load

    g = np.array([0.1, 0.3, 0.6, 1.0, 1.5, 2.0])
    for symbol, data in paw_sets.items():
        paw = PawSet.from_gpaw(data)
        one_centre = 4 * np.pi * np.sinc(2 * np.outer(g, paw.radii)) @ (paw.free_one_centre * paw.volumes)
        table = load().x_ray_form_factor(int(data.Z), g, paw.valence)
        assert paw.free_transform(g) + one_centre == pytest.approx(table, abs=3e-4), symbol


@pytest.mark.parametrize("symbol", ["F", "Co", "La"])
def test_one_centre_expansion_is_the_sum_over_partial_waves(paw_sets, rng, symbol):
    """Σ_L R_L Y_L against Σ_ij D_ij φ_i φ_j Y_i Y_j in points, for a full random density matrix."""
    data = paw_sets[symbol]
    count = sum(2 * l + 1 for l in data.l_j)
    matrix = rng.normal(size=(count, count))
    matrix = (matrix + matrix.T) / 2
    term = PawSet.from_gpaw(data).one_centre(0, matrix, free=False)
    points = rng.integers(20, len(term.radii), size=40)
    unit = rng.normal(size=(40, 3))
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    true, smooth = (
        np.array(
            [
                w[points] * real_harmonic(l, m, unit)
                for w, l in zip(waves, data.l_j, strict=True)
                for m in range(-l, l + 1)
            ]
        )
        for waves in (data.phi_jg, data.phit_jg)
    )
    expected = np.einsum("ip,ij,jp->p", true, matrix, true) - np.einsum("ip,ij,jp->p", smooth, matrix, smooth)
    rows = [real_harmonic(l, m, unit) for l in range(term.lmax + 1) for m in range(-l, l + 1)]
    found = np.einsum("Lp,Lp->p", term.values[:, points], np.array(rows))
    assert found * 0.529177210903**3 == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_a_free_atom_has_no_one_centre_deformation(paw_sets):
    for symbol in ("O", "Co", "La"):
        data = paw_sets[symbol]
        per_function = [f / (2 * l + 1) for f, l in zip(data.f_j, data.l_j, strict=True) for _ in range(2 * l + 1)]
        term = PawSet.from_gpaw(data).one_centre(0, np.diag(per_function))
        assert np.abs(term.values).max() < 1e-9 * np.abs(data.phi_jg[0]).max() ** 2


def test_a_set_for_another_functional_is_refused():
    from gpaw.setup_data import SetupData

    with pytest.raises(InputError, match="LDA"):
        PawSet.from_gpaw(SetupData("O", "LDA"))


def test_real_space_agrees_with_gpaws_all_electron_density(low_symmetry):
    """Point by point around F, 0.3 to 1.2 Å away, where the density falls from 9 to 0.1 e/Å³.

    GPAW sums products of partial waves itself; its ñ lacks what free fluorine has above the grid's band limit.
    """
    from rhotem.density.free_atoms import load

    structure, calc = low_symmetry
    grid = PeriodicGrid(structure.cell, np.array(calc.get_all_electron_density(gridrefinement=2).shape))
    expected = calc.get_all_electron_density(gridrefinement=2, skip_core=True)
    field = deformation_field(calc, structure, grid)
    total = field.values.copy()
    for shift in np.ndindex(5, 5, 5):
        for atom, (number, valence) in enumerate(zip(structure.numbers, (1, 7), strict=True)):
            d = grid.points() - structure.positions[atom] - (np.array(shift) - 2) @ structure.cell
            r = np.linalg.norm(d, axis=-1)
            total += load().evaluate(number, r, valence)
            total += _evaluate(field.one_centre[atom], d, r)
    d = (grid.points() - structure.positions[1]) @ np.linalg.inv(structure.cell)
    distance = np.linalg.norm((d - np.round(d)) @ structure.cell, axis=-1)
    shell = (distance > 0.3) & (distance < 1.2)
    assert field.grid == grid
    assert shell.sum() > 500
    assert np.abs(total - expected)[shell].max() < 0.05
    assert np.abs(total - expected)[shell].mean() < 0.005
    assert np.abs(total - field.values - expected)[shell].mean() > 0.02


def _evaluate(term, d, r):
    inside = (r < term.radii[-1]) & (r > 0)
    value = np.zeros(r.shape)
    for l in range(term.lmax + 1):
        for m in range(-l, l + 1):
            radial = np.interp(r[inside], term.radii, term.values[l**2 + l + m])
            value[inside] += radial * real_harmonic(l, m, d[inside] / r[inside][:, None])
    return value


def test_every_l_is_used(low_symmetry):
    structure, calc = low_symmetry
    fluorine = deformation_field(calc, structure).one_centre[1]
    size = np.abs(fluorine.values).max(axis=1)
    assert all(size[l**2 : (l + 1) ** 2].max() > 1e-6 for l in range(5))


@pytest.mark.parametrize("charge", [0.0, 1.0])
def test_electrons_are_counted(low_symmetry, charge):
    structure, calc = low_symmetry
    if charge:
        structure = Structure(structure.atoms, charge=charge)
        calc = run(structure, DftSettings(kpts=(2, 2, 2)))
    field = deformation_field(calc, structure)
    spheres = 0.0
    for term in field.one_centre:
        fine = np.linspace(0, term.radii[-1], 20001)
        spheres += np.trapezoid(np.interp(fine, term.radii, term.values[0]) * fine**2, fine) * np.sqrt(4 * np.pi)
    assert abs(field.record["count_residual"]) < 1e-4
    assert field.grid.integrate(field.values) + spheres == pytest.approx(-charge, abs=5e-4)


def test_triplet_oxygen_has_two_unpaired_electrons():
    atoms = Atoms("O2", positions=[[2, 2, 1.9], [2, 2, 3.1]], cell=[4, 4, 5], pbc=True)
    structure = Structure(atoms, moments=np.ones(2))
    calc = run(structure, DftSettings(kpts=(1, 1, 1)))
    grid = PeriodicGrid.from_spacing(structure.cell, 0.15)
    field = deformation_field(calc, structure, grid)
    assert field.spin.shape == field.grid.shape
    assert field.grid.integrate(field.spin) == pytest.approx(2.0, abs=0.01)
    # π* orbitals: nothing on the bond axis (x = y = 2 Å), most of it beside the nuclei.
    i, j, k = (round(f * n) for f, n in zip((0.5, 0.5, 0.5), field.grid.shape, strict=True))
    assert abs(field.spin[i, j, k]) < 0.02 * field.spin.max()


def test_padding_keeps_the_function(rng):
    coarse = PeriodicGrid(np.eye(3) * 4, (6, 5, 8))
    values = rng.normal(size=coarse.shape)
    fine = PeriodicGrid(coarse.cell, (12, 10, 24))
    result = fine.inverse_fourier(padded(coarse.fourier(values), fine.shape))
    assert result[::2, ::2, ::3] == pytest.approx(values, abs=1e-12)
    assert padded(coarse.fourier(values), coarse.shape) == pytest.approx(coarse.fourier(values))
