"""Free atoms against independent tables, sum rules and the data sets they must agree with."""

import json

import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import BOHR, MOTT_BETHE, VOLT_PER_FE
from rhotem.density import free_atoms
from rhotem.structure.model import Structure

TABLE = free_atoms.load()
SYMBOLS = {"Li": 3, "C": 6, "O": 8, "F": 9, "P": 15, "Si": 14, "Mn": 25, "Fe": 26, "Co": 27, "Ni": 28}


def test_every_atom_is_neutral_and_positive() -> None:
    for z in range(1, 97):
        r, n = TABLE.density(z)
        assert TABLE.x_ray_form_factor(z, 0.0) == pytest.approx(z, abs=1e-10)
        # Simpson's rule on the stored points: independent of the table's own quadrature
        assert _integral(r, n) == pytest.approx(z, abs=2e-4)
        assert (n >= 0).all()
        assert sum(shell[2] for shell in TABLE.shells(z)) == z


def _integral(r: np.ndarray, n: np.ndarray) -> float:
    from scipy.interpolate import CubicSpline

    t = np.arange(len(r))
    return float(CubicSpline(t, 4 * np.pi * r**2 * n * CubicSpline(t, r)(t, 1)).integrate(0, t[-1]))


def test_form_factors_follow_dirac_fock_atoms_of_waasmaier_and_kirfel() -> None:
    """PBE against (Dirac-)Hartree-Fock: correlation changes f_x by 0.3 e at most, the fit is good to a few 0.01 e."""
    xraydb = pytest.importorskip("xraydb")
    g = np.linspace(0.0, 12.0, 61)
    worst = {}
    for z in range(1, 87):
        independent = xraydb.f0(xraydb.atomic_symbol(z), g / 2)
        worst[z] = np.abs(TABLE.x_ray_form_factor(z, g) - independent).max()
    assert all(value < 0.06 for z, value in worst.items() if z <= 20)
    assert max(worst.values()) < 0.30


def test_hydrogen_like_density_has_its_analytic_transform() -> None:
    """The quadrature alone: n = exp(−2Zr/a0) Z³/πa0³ gives (1 + (πga0/Z)²)^−2."""
    g = np.array([0.0, 0.3, 2.0, 9.0, 19.0])
    for charge in (1.0, 3.0, 30.0):
        n = charge**3 / (np.pi * BOHR**3) * np.exp(-2 * charge * TABLE._fine / BOHR)
        deficit = free_atoms._deficit_integral(TABLE._fine, TABLE._weights * n, g)
        exact = (1 + (np.pi * g * BOHR / charge) ** 2) ** -2
        assert 1 - g**2 * deficit == pytest.approx(exact, abs=1e-6)
        assert deficit[0] == pytest.approx(2 * np.pi**2 * BOHR**2 / charge**2, rel=1e-6)


def test_spline_equals_the_integral_between_its_knots() -> None:
    g = np.random.default_rng(1).uniform(0.0, 20.0, 40)
    for z in (1, 19, 27, 82):
        charge = TABLE._weights * TABLE.evaluate(z, TABLE._fine)
        direct = z - g**2 * free_atoms._deficit_integral(TABLE._fine, charge, g)
        assert TABLE.x_ray_form_factor(z, g) == pytest.approx(direct, abs=1e-5)
    assert TABLE.x_ray_form_factor(27, 20.0 + 1e-9) == pytest.approx(TABLE.x_ray_form_factor(27, 20.0), abs=1e-6)


def test_electron_form_factor_is_mott_bethe_with_the_right_limit() -> None:
    g = np.array([0.05, 0.5, 3.0])
    for z in (3, 8, 79):
        expected = MOTT_BETHE * (z - TABLE.x_ray_form_factor(z, g)) / g**2
        assert TABLE.electron_form_factor(z, g) == pytest.approx(expected, rel=1e-8)
        limit = MOTT_BETHE * (2 * np.pi) ** 2 / 6 * TABLE.second_moment(z)
        assert TABLE.electron_form_factor(z, np.zeros((2, 2))) == pytest.approx(np.full((2, 2), limit), rel=1e-9)


def test_projected_structure_factors_of_lif() -> None:
    """Values of an independent program (tests/data/README.md, LiF.json): PBE scalar-relativistic free atoms, V·Å."""
    expected = {(2, 0): 20.777, (2, 2): 14.415, (4, 0): 9.231, (4, 4): 5.381, (6, 0): 4.869}
    a = 4.03
    for (h, k), value in expected.items():
        g = np.hypot(h, k) / a
        total = 4 * (TABLE.electron_form_factor(3, g) + TABLE.electron_form_factor(9, g))
        assert total * VOLT_PER_FE / a**2 == pytest.approx(value, abs=1.5e-3)


@pytest.mark.gpaw
def test_valence_agrees_with_gpaw_data_sets() -> None:
    """The valence the DFT labels were referred to, solved by GPAW on its own coarser grid."""
    setup_data = pytest.importorskip("gpaw.setup_data")
    for symbol, z in SYMBOLS.items():
        data = setup_data.SetupData(symbol, "PBE")
        r = data.rgd.r_g * BOHR
        n = sum(f * phi**2 for f, phi in zip(data.f_j, data.phi_jg, strict=True)) / (4 * np.pi) / BOHR**3
        ours = TABLE.evaluate(z, r, TABLE.default_valence(z))
        weight = 4 * np.pi * r**2 * data.rgd.dr_g * BOHR
        assert sum(data.f_j) == TABLE.default_valence(z)
        assert (weight * np.abs(ours - n))[r < 10].sum() < 2e-3 * sum(data.f_j)


def test_valence_of_any_paw_set() -> None:
    sets = {3: (1, 3), 8: (6,), 14: (4,), 25: (7, 13, 15), 27: (9, 15, 17), 28: (10, 16), 31: (3, 13), 74: (6, 12, 14)}
    for z, counts in sets.items():
        for electrons in counts:
            assert TABLE.x_ray_form_factor(z, 0.0, electrons) == pytest.approx(electrons, abs=1e-9)
    lithium_core = TABLE.evaluate(3, 0.1) - TABLE.evaluate(3, 0.1, 1)
    assert lithium_core > 50 * TABLE.evaluate(3, 0.1, 1)
    with pytest.raises(InputError, match="Z = 27 has no valence of 8 electrons; its shells give 2, 9, 15, 17"):
        TABLE.density(27, 8)
    with pytest.raises(InputError, match="Z = 120"):
        TABLE.density(120)


def test_free_atoms_are_a_source_without_deformation() -> None:
    import ase

    atoms = ase.Atoms("LiF", positions=[[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True)
    field = free_atoms.FreeAtoms()(Structure(atoms), PeriodicGrid(atoms.cell.array, (100, 100, 100)))
    assert field.kind == "deformation"
    assert not field.values.any()
    assert field.reference == TABLE.identifier
    assert json.dumps(field.record) == "{}"


def test_a_charge_that_free_atoms_cannot_hold_is_said() -> None:
    import ase

    atoms = ase.Atoms("LiF", positions=[[0, 0, 0], [2, 0, 0]], cell=np.eye(3) * 4.0, pbc=True)
    grid = PeriodicGrid(np.eye(3) * 4.0, (4, 4, 4))
    charged = free_atoms.FreeAtoms()(Structure(atoms, charge=1.0), grid)
    assert grid.integrate(charged.values) == 0.0 and "+1 e" in charged.record["warnings"][0]
    assert not free_atoms.FreeAtoms()(Structure(atoms), grid).record
