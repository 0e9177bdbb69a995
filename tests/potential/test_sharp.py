"""Sharp one-centre parts in closed form against the same by Fourier coefficients, and the rotation of Gaussians."""

import ase
import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.density.field import DensityField, OneCentre
from rhotem.potential import build_potential, sharp
from rhotem.potential.stream_sharp import POWERS, Gaussians, split_one_centre
from rhotem.structure.model import Structure
from rhotem.structure.orient import orient

CELL = np.diag([4.6, 4.9, 6.3])
RADII = np.linspace(0.0, np.sqrt(2.2), 160) ** 2


@pytest.fixture(scope="module")
def density() -> DensityField:
    """Band-limited noise and lobes of every l on two of three atoms, in different tables."""
    rng = np.random.default_rng(0)
    structure = Structure(ase.Atoms("OLiF", [[0.1, 0.2, 0.3], [1.4, 2.3, 2.9], [2.4, 4.8, 6.171]], cell=CELL, pbc=True))
    grid = PeriodicGrid(CELL, (24, 25, 32))
    noise = grid.fourier(rng.normal(size=grid.shape)) * np.exp(-2.0 * grid.g_squared())
    noise[0, 0, 0] = 0.0
    terms = []
    for atom, sigma, lmax in ((0, 0.09, 4), (2, 0.2, 2)):
        values = np.zeros(((lmax + 1) ** 2, len(RADII)))
        for l in range(lmax + 1):
            radial = (RADII / sigma) ** l * np.exp(-0.5 * (RADII / sigma) ** 2) * (1.0 - (RADII / 2.2) ** 2) ** 3
            values[l * l : (l + 1) ** 2] = rng.normal(size=(2 * l + 1, 1)) * radial
        terms.append(OneCentre(atom, RADII, values))
    return DensityField("deformation", structure, grid, grid.inverse_fourier(noise), one_centre=tuple(terms))


@pytest.mark.parametrize("zone, msd", [((0, 0, 1), None), ((1, 0, 0), 0.012), ((0, -1, 0), None)])
def test_slices_in_closed_form_are_those_of_fourier_coefficients(density, zone, msd, monkeypatch):
    """Turned any way, repeated, displaced: the same waves below 1 1/Å to 1e-4 of what the deformation brings."""
    cell = orient(density.structure, zone, "input").repeated(1, 1, 1 + (msd is not None))
    grid = PeriodicGrid.from_spacing(cell.structure.cell, 0.1)
    grid = PeriodicGrid(grid.cell, (*grid.shape[:2], 3))
    moved = None
    if msd:
        moved = np.random.default_rng(5).normal(0.0, np.sqrt(msd), (len(cell.structure), 3))
    how = {"precision": "double", "displacements": moved}
    fourier = build_potential(cell, grid, density, deformation_msd=msd, **how).array
    monkeypatch.setattr(sharp, "PAIRS", 0.0)
    got = build_potential(cell, grid, density, deformation_msd=msd, **how)
    assert 0.0 < got.record["short_range_fit_V"] < sharp.FIT
    share = fourier - build_potential(cell, grid, **how).array
    assert np.abs(got.array - fourier).max() < 1e-3 * np.abs(share).max()
    difference, own = (np.fft.fft2(a)[:, :10, :10] for a in (got.array - fourier, share))
    assert np.abs(difference).max() < 1e-4 * np.abs(own).max()
    assert share.mean() == pytest.approx((got.array - fourier + share).mean(), abs=1e-6 * np.abs(share).max())


def test_skew_grids_and_few_atoms_stay_with_fourier_coefficients(density, monkeypatch):
    assert not sharp.is_in_closed_form(density)
    monkeypatch.setattr(sharp, "PAIRS", 0.0)
    assert sharp.is_in_closed_form(density)
    skew = PeriodicGrid(CELL + 0.5 * np.eye(3, k=-1), density.grid.shape)
    coarse = PeriodicGrid(CELL, (8, 8, 8))
    for grid in (skew, coarse):
        field = DensityField("deformation", density.structure, grid, np.zeros(grid.shape), density.one_centre)
        assert not sharp.is_in_closed_form(field)


def cusp(atom: int, charge: float) -> OneCentre:
    """exp(-60 r/Å), which no Gaussian follows to the nucleus."""
    radii = np.linspace(0.0, 1.5, 300) ** 2
    return OneCentre(atom, radii, charge * np.exp(-60.0 * radii)[None])


def test_what_gaussians_do_not_fit_stays_with_fourier_coefficients(density, monkeypatch):
    """A cusp at a nucleus gives the same slices as if there were no closed form, bit for bit."""
    cell = orient(density.structure, (0, 0, 1), "input")
    grid = PeriodicGrid(cell.structure.cell, (40, 40, 3))
    field = DensityField("deformation", density.structure, density.grid, density.values, one_centre=(cusp(1, 3e5),))
    expected = build_potential(cell, grid, field).array
    monkeypatch.setattr(sharp, "PAIRS", 0.0)
    got = build_potential(cell, grid, field)
    np.testing.assert_array_equal(got.array, expected)
    assert "short_range_fit_V" not in got.record


def test_the_fit_of_every_element_is_looked_at():
    """The worst of all atoms, wherever it stands among them."""
    terms = [cusp(atom, 3e5 if atom == 70 else 1.0) for atom in range(90)]
    places, every = np.zeros((90, 3)), np.arange(90)
    worst = split_one_centre([terms[70]], places, np.array([0]), 0.2)[2]
    assert split_one_centre(terms, places, every, 0.2)[2] == pytest.approx(worst, rel=1e-9)


def test_gaussians_turn_with_the_frame():
    """The turned function at R r is the function at r."""
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    one = Gaussians(np.zeros((1, 3)), np.array([0.3, 0.7]), rng.normal(size=(1, 2, 35)))

    def values(of, points):
        powers = np.prod(points[:, None] ** np.array(POWERS), axis=2)
        return ((powers @ of.polynomials[0].T) * np.exp(-0.5 * (points**2).sum(1)[:, None] / of.sigma**2)).sum(1)

    points = rng.normal(size=(40, 3))
    np.testing.assert_allclose(values(one.turned(turn), points @ turn.T), values(one, points), rtol=1e-9, atol=1e-9)
