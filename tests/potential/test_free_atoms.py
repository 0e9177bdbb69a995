"""Free atoms: every element of the tables, the closed form of a cut atom, form factors against each other."""

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.core.units import VOLT_PER_FE
from rhotem.potential.parametrizations import form_factor, mean_inner_potential, x_ray_form_factor
from rhotem.potential.yukawa import screened_atom, tail_tables

EVERY = {"pbe": range(1, 93), "lobato": range(1, 104), "kirkland": range(1, 104)}


@pytest.mark.parametrize("name", [pytest.param("pbe", marks=pytest.mark.slow), "lobato", "kirkland"])
def test_every_element_is_written_as_yukawa_terms(name):
    f_e = form_factor(name)
    g = np.linspace(0.0, 20.0, 333)
    for z in EVERY[name]:
        atom = screened_atom(f_e, z)
        assert np.abs(atom.form_factor(g) / f_e(z, g) - 1).max() < 1e-5, z


@pytest.mark.parametrize("z", [3, 27, 57])
def test_part_beyond_a_plane_against_quadrature(z):
    """T(g, d) = ½ f_e(g) − ∫ f_e(√(g² + q²)) sin(2πqd)/(2πq) dq, by brute force with Kirkland's fit.

    The tail beyond q = 400 /Å is below 1e-6 of f_e: f_e falls as 1/q² and the kernel as 1/q.
    """
    f_e = form_factor("kirkland")
    q, step = np.linspace(0.0, 400.0, 800_001, retstep=True)
    for g in (0.0, 0.5, 3.0):
        values = f_e(z, np.hypot(g, q))
        for d in (0.05, 0.4, 2.0):
            integrand = values * 2.0 * d * np.sinc(2.0 * q * d)
            inside = step * (integrand.sum() - 0.5 * (integrand[0] + integrand[-1]))
            expected = 0.5 * values[0] - inside
            got = screened_atom(f_e, z).beyond(np.array([g]), np.array([d]))[0, 0]
            assert got == pytest.approx(expected, abs=3e-6 * values[0])


def test_separable_tables_reproduce_the_closed_form():
    atom = screened_atom(form_factor("lobato"), 27)
    rng = np.random.default_rng(0)
    for table in tail_tables(atom, 12.0):
        d = rng.uniform(table.near, table.far, 40)
        g = table.cutoff * np.linspace(0, 1, len(table.radial)) ** 2
        exact = atom.beyond(g, d) / atom.form_factor(g)[:, None]
        assert np.abs(table.radial @ table.weights(d).T - exact).max() < 3e-6
        if table.cutoff < 12.0:
            outside = np.linspace(table.cutoff, 12.0, 20)
            assert (atom.beyond(outside, d) / atom.form_factor(outside)[:, None]).max() < 3e-6


def test_the_two_published_fits_agree():
    """Lobato and Kirkland fitted the same relativistic Hartree–Fock atoms: within 4 % of each other below 4 1/Å."""
    g = np.linspace(0.0, 4.0, 41)
    for z in (6, 8, 14, 27, 38, 57, 79):
        ratio = form_factor("lobato")(z, g) / form_factor("kirkland")(z, g)
        assert np.abs(ratio - 1).max() < 0.04, z


@pytest.mark.parametrize("name", EVERY)
def test_mott_bethe_limit(name):
    """f_x(0) = Z electrons and f_x small far out: the same constants on both sides."""
    f_e = form_factor(name)
    for z in (3, 8, 27):
        f_x = x_ray_form_factor(f_e, z, np.array([0.0, 0.05, 12.0]))
        assert f_x[0] == z and f_x[1] == pytest.approx(z, rel=0.05) and abs(f_x[2]) < 0.05 * z


def test_mean_inner_potential_is_the_forward_form_factor():
    """(e/6ε0Ω) Σ∫r²n d³r and Σ f_e(0) h²/(2πm e)/Ω are one number."""
    numbers = [3, 27, 8, 8]
    forward = sum(float(form_factor("pbe")(z, np.zeros(1))[0]) for z in numbers) * VOLT_PER_FE / 32.0
    assert mean_inner_potential("pbe", numbers, 32.0) == pytest.approx(forward, rel=1e-5)


def test_common_elements_of_the_pbe_table_are_written_as_yukawa_terms():
    """Alkali tails and sharp 1s shells are the hard ones; all elements are in the slow test."""
    f_e = form_factor("pbe")
    g = np.linspace(0.0, 20.0, 333)
    for z in (1, 3, 8, 11, 19, 27, 57):
        assert np.abs(screened_atom(f_e, z).form_factor(g) / f_e(z, g) - 1).max() < 1e-5, z


def test_unknown_element_or_table():
    with pytest.raises(InputError, match="Z = 120"):
        form_factor("lobato")(120, np.zeros(1))
    with pytest.raises(InputError, match="pbe, lobato, kirkland"):
        form_factor("peng")
    with pytest.raises(InputError, match="not positive"):
        screened_atom(lambda z, g: np.cos(g), 3)
