"""Metrics of analytic densities, and the treatment near nuclei."""

import ase
import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import metrics
from rhotem.structure.model import Structure

CELL = np.array([[3.1, 0.0, 0.0], [-1.0, 3.4, 0.0], [0.4, 0.5, 4.1]])
GRID = PeriodicGrid(CELL, (30, 33, 40))


def _structure(charge: float = 0.0) -> Structure:
    atoms = ase.Atoms("LiO", scaled_positions=[[0.12, 0.3, 0.41], [0.6, 0.72, 0.9]], cell=CELL, pbc=True)
    return Structure(atoms, charge=charge)


def _waves(*terms: tuple[tuple[int, int, int], float]) -> np.ndarray:
    fractional = np.stack(np.meshgrid(*[np.arange(n) / n for n in GRID.shape], indexing="ij"), -1)
    return sum(a * np.cos(2 * np.pi * fractional @ np.array(h)) for h, a in terms)


@pytest.mark.parametrize("charge", [0.0, 1.0, -0.5])
def test_treatment_removes_noise_and_conserves_electrons(charge: float) -> None:
    structure = _structure(charge)
    smooth = _waves(((1, 0, 1), 0.02), ((0, 1, -1), 0.03)) - charge / GRID.volume
    noisy = smooth.copy()
    for centre in structure.positions:
        fractional = np.linalg.solve(CELL.T, centre) * GRID.shape
        noisy[tuple(np.rint(fractional).astype(int) % GRID.shape)] += 50.0
    treated, record = metrics.treat_near_nuclei(noisy, structure, GRID)
    assert GRID.integrate(treated) == pytest.approx(-charge, abs=1e-12)
    assert np.abs(treated - smooth).max() < 0.01
    assert record["filled_e"] == pytest.approx(-2 * 50.0 * GRID.voxel_volume, rel=0.01)
    assert abs(record["residual_e"]) < 1e-3


def test_residual_is_a_gaussian_where_the_filling_moved_most() -> None:
    structure = _structure()
    values = np.full(GRID.shape, 0.3 / GRID.volume)  # 0.3 e too many, spread evenly
    fractional = np.linalg.solve(CELL.T, structure.positions[1]) * GRID.shape
    values[tuple(np.rint(fractional).astype(int) % GRID.shape)] += 5.0
    treated, _ = metrics.treat_near_nuclei(values, structure, GRID)
    change = treated - 0.3 / GRID.volume
    from ase.geometry import find_mic

    r = [np.linalg.norm(find_mic((GRID.points() - p).reshape(-1, 3), CELL)[0], axis=1) for p in structure.positions]
    assert GRID.integrate(change) == pytest.approx(-0.3, abs=1e-9)
    assert (change.ravel() * GRID.voxel_volume)[r[1] < 0.75].sum() == pytest.approx(-0.3, abs=1e-6)
    width = (change.ravel() * r[1] ** 2)[r[1] < 0.75].sum() / change.sum()
    assert width == pytest.approx(3 * 0.15**2, rel=0.02)
    with pytest.raises(InputError, match="not finite"):
        metrics.treat_near_nuclei(np.full(GRID.shape, np.nan), structure, GRID)


def test_free_atoms_score_one_and_the_truth_scores_zero() -> None:
    truth = _waves(((1, 0, 1), 0.2), ((0, 1, 0), 0.1))
    structure = _structure()
    free = metrics.score(np.zeros(GRID.shape), truth, structure, GRID)
    assert free.deformation_error == pytest.approx(1.0)
    assert free.potential_error_ratio == pytest.approx(1.0)
    assert free.nmae_valence_percent == pytest.approx(free.free_atoms_nmae_valence_percent)
    assert metrics.score(truth, truth, structure, GRID).as_dict()["deformation_error"] == 0.0
    assert metrics.deformation_error(1.05 * truth, truth, GRID) == pytest.approx(0.05)
    assert metrics.potential_error_ratio(1.05 * truth, truth, GRID) == pytest.approx(0.05)
    absolute = GRID.integrate(np.abs(truth))
    assert metrics.nmae_valence_percent(0.9 * truth, truth, GRID, 7.0) == pytest.approx(100 * 0.1 * absolute / 7.0)


def test_potential_weighs_waves_by_g_squared_and_counts_each_once() -> None:
    """cos waves: (1,0,0) lies in two planes, (1,1,1) in none, (10,0,0) beyond 2/Å."""
    g2 = {h: ((np.array(h) @ GRID.reciprocal) ** 2).sum() for h in [(1, 0, 0), (1, 2, 0), (0, 1, -2)]}
    truth = _waves(((1, 0, 0), 0.2), ((1, 2, 0), 0.3), ((0, 1, -2), 0.1), ((1, 1, 1), 5.0), ((10, 0, 0), 5.0))
    wrong = truth + _waves(((1, 2, 0), 0.06), ((1, 1, 1), 1.0), ((10, 0, 0), 1.0))
    error = (0.06 / g2[1, 2, 0]) ** 2
    scale = (0.2 / g2[1, 0, 0]) ** 2 + (0.3 / g2[1, 2, 0]) ** 2 + (0.1 / g2[0, 1, -2]) ** 2
    assert metrics.potential_error_ratio(wrong, truth, GRID) == pytest.approx(np.sqrt(error / scale), rel=1e-9)


def test_summary_has_mean_median_and_pooled() -> None:
    a = metrics.Scores(1.0, 10.0, 1.0, 100.0, 50.0)
    b = metrics.Scores(30.0, 100.0, 9.0, 100.0, 150.0)
    result = metrics.summarise([a, b, b])
    assert result["deformation_error"]["mean"] == pytest.approx((0.1 + 0.3 + 0.3) / 3)
    assert result["deformation_error"]["median"] == pytest.approx(0.3)
    assert result["deformation_error"]["pooled"] == pytest.approx(61 / 210)
    assert result["potential_error_ratio"]["pooled"] == pytest.approx(np.sqrt(19 / 300))
    with pytest.raises(InputError, match="no structures"):
        metrics.summarise([])


def test_valence_is_that_of_the_labels() -> None:
    assert metrics.valence_electrons(_structure()) == 7
