"""Samples of posteriors: known ones, bounds, rival minima, and fits whose covariance is nearly the whole story."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from rhotem.core import InputError, MissingDependencyError
from rhotem.experiment.fit.images import State, fit_images
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.mcmc import Target, sample
from rhotem.experiment.fit.mcmc.diagnostics import autocorrelation_time, split_r
from rhotem.experiment.fit.mcmc.report import draw_posterior
from rhotem.experiment.fit.mcmc.scans import target_of_images
from rhotem.experiment.fit.mcmc.target import Mode, around
from rhotem.experiment.fit.mcmc.walk import Draws

from .test_fit_images import DETECTORS, TRUTH, blank, counted, response_with_edges

pytest.importorskip("emcee")
FREE = np.inf


def gaussian(covariance, low=-FREE, high=FREE, wrong=1.0):
    """A normal posterior around 0, its minimum known with ``wrong`` times its standard deviations."""
    number, inverse = len(covariance), np.linalg.inv(covariance)
    names = tuple(f"p{n}" for n in range(number))
    ends = np.full(number, -FREE), np.full(number, FREE)
    ends[0][0], ends[1][0] = low, high
    modes = (Mode(np.zeros(number), wrong**2 * covariance),)
    return Target(names, ("",) * number, *ends, lambda v: 0.5 * float(v @ inverse @ v), modes, names)


@pytest.mark.parametrize("wrong", [1.0, 0.4, 2.5])
def test_a_normal_posterior_has_its_covariance(rng, wrong):
    """Five parameters of scales from 1e-3 to 1e3, correlated, whatever widths the fit gave."""
    root = rng.normal(size=(5, 5)) * np.array([1e-3, 0.1, 1.0, 30.0, 1e3])[:, None]
    covariance = root @ root.T
    made = sample(gaussian(covariance, wrong=wrong), seed=3)
    assert made.converged and made.apart.max() < 1.05 and not made.remarks
    sides = np.sqrt(np.diag(covariance))
    few = made.effective.min()
    assert few > 1000
    assert made.values.mean(axis=0) / sides == pytest.approx(np.zeros(5), abs=4 / np.sqrt(few))
    seen = np.cov(made.values.T) / np.outer(sides, sides)
    assert seen == pytest.approx(covariance / np.outer(sides, sides), abs=6 / np.sqrt(few))
    assert made.record()["parameters"]["p0"]["error"] == pytest.approx(sides[0], rel=0.1)


def test_bounds_cut_the_posterior(rng):
    """Half a normal: mean σ √(2/π), and no sample beyond."""
    made = sample(gaussian(np.eye(3), low=0.0), seed=1)
    assert made.values[:, 0].min() >= 0.0
    assert made.values[:, 0].mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.05)
    assert made.values[:, 1].std() == pytest.approx(1.0, abs=0.06)


def test_two_minima_get_the_shares_of_their_volumes():
    """Equally deep, 40 standard deviations apart, one twice as wide along each of two axes: 1/5 and 4/5."""

    def cost(v):
        first = -0.5 * (v[0] ** 2 + v[1] ** 2)
        second = -0.5 * (((v[0] - 40) / 2) ** 2 + (v[1] / 2) ** 2)
        return -float(np.logaddexp(first, second))

    modes = (Mode(np.zeros(2), np.eye(2), 0.5), Mode(np.array([40.0, 0.0]), 4 * np.eye(2), 0.5))
    ends = np.full(2, -100.0), np.full(2, 100.0)
    made = sample(Target(("a", "b"), ("", ""), *ends, cost, modes), seed=2)
    assert made.converged
    assert made.shares == pytest.approx([0.2, 0.8], abs=0.05)


@pytest.mark.slow
def test_a_bent_posterior_is_sampled_where_its_minimum_has_no_such_covariance():
    """Rosenbrock's valley: x normal, y − x² normal with 0.6: E y = 1 and var y = 2 + 0.36."""
    target = Target(
        ("x", "y"),
        ("", ""),
        np.full(2, -FREE),
        np.full(2, FREE),
        lambda v: 0.5 * float(v[0] ** 2 + ((v[1] - v[0] ** 2) / 0.6) ** 2),
        (Mode(np.zeros(2), np.diag([1.0, 0.36])),),
    )
    made = sample(target, seed=5, steps=12000)
    assert made.converged, made.remarks
    few = made.effective.min()
    assert made.values[:, 0].std() == pytest.approx(1.0, abs=5 / np.sqrt(few))
    assert made.values[:, 1].mean() == pytest.approx(1.0, abs=5 * 1.54 / np.sqrt(few))


def test_the_same_seed_gives_the_same_samples():
    made = [sample(gaussian(np.eye(2)), seed=seed, steps=60).values for seed in (4, 4, 5)]
    assert np.array_equal(made[0], made[1]) and not np.array_equal(made[0], made[2])


def test_chains_that_are_too_short_say_so():
    made = sample(gaussian(np.eye(4)), seed=0, steps=20)
    assert not made.converged and "not long enough" in made.remarks[0]


def test_autocorrelation_of_a_known_process(rng):
    """x' = a x + noise has (1 + a) / (1 − a)."""
    chains = np.zeros((4000, 20, 1))
    for n in range(1, len(chains)):
        chains[n] = 0.8 * chains[n - 1] + rng.normal(size=(20, 1))
    assert autocorrelation_time(chains)[0] == pytest.approx(9.0, rel=0.1)
    assert split_r(chains)[0] == pytest.approx(1.0, abs=0.01)
    apart = chains + 5 * np.arange(20)[:, None]
    assert split_r(apart)[0] > 1.5 and autocorrelation_time(apart)[0] > 100


def test_draws_have_the_density_that_is_said(rng):
    """Mean over draws of normal density over theirs is 1, and over the density of the other minimum, too."""
    from scipy.stats import multivariate_normal

    modes = (Mode(np.zeros(2), np.eye(2), 0.7), Mode(np.array([3.0, 1.0]), np.diag([2.0, 0.5]), 0.3))
    draws = Draws(modes, rng)
    values = draws.draw(20000)
    logs = draws.ln(values)
    weights = [np.exp(multivariate_normal(m.values, m.covariance).logpdf(values) - logs) for m in modes]
    means = [float(one.mean()) for one in weights]
    assert means[0] == pytest.approx(means[1], rel=0.05)


def test_normal_equations_and_bounds_make_a_covariance():
    slopes = np.array([[2.0, 0.0], [0.0, 0.0]])
    made = around(slopes, np.array([-FREE, 0.0]), np.array([FREE, 6.0]))
    assert made == pytest.approx(np.diag([0.25, 3.0]))


def test_a_posterior_without_minima_or_beyond_its_bounds_is_refused():
    with pytest.raises(InputError, match="one minimum or more"):
        replace(gaussian(np.eye(2)), modes=())
    with pytest.raises(InputError, match="nothing within the bounds"):
        sample(replace(gaussian(np.eye(2)), cost=lambda v: np.nan))


def test_without_emcee_what_to_install_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "emcee", None)
    with pytest.raises(MissingDependencyError, match=r"rhotem\[mcmc\]"):
        sample(gaussian(np.eye(2)))


@pytest.fixture(scope="module")
def held():
    return response_with_edges([])


def test_the_target_of_images_is_their_likelihood(held, rng):
    """At the minimum of the fit −ln posterior is its cost, and rises as the normal equations say."""
    images = counted(held, rng)
    fit = fit_images(images, held, [[0.2, 0.0], [0.0, 0.2]], start=TRUTH)
    target = target_of_images(fit)
    best = target.modes[0]
    assert target.names[:2] == ("thickness", "defocus") and "gain of ABF" in target.names
    assert target.cost(best.values) * target.unit == pytest.approx(fit.best.cost, rel=1e-9)
    for n in (0, 1, 4):
        moved = best.values.copy()
        moved[n] += 0.3 / np.sqrt(np.linalg.inv(best.covariance)[n, n])
        assert target.cost(moved) - target.cost(best.values) == pytest.approx(0.045, abs=0.02)
    beyond = best.values.copy()
    beyond[0] = held.thicknesses[-1] + 1.0
    assert target.ln(beyond) == -np.inf


def test_the_target_of_a_focal_series_is_its_likelihood():
    """Counted and not: −ln posterior at the minimum is the cost of the fit, soft where values are no electrons."""
    from rhotem.experiment.fit.focal import fit_series
    from rhotem.experiment.fit.mcmc.series import target_of_series
    from rhotem.microscope.settings import Microscope
    from rhotem.scattering.exits import exit_waves

    from . import test_focal as focal

    held = exit_waves([focal.slices(40)], Microscope(energy=300e3), [12.0 * n for n in range(2, 7)])
    start = focal.state(held, 2)
    start.each[:, 2] = 150.0
    rng = np.random.default_rng(3)
    for counts in (True, False):
        blank_ones = [focal.Photo(np.zeros((24, 26)))] * 2
        model = focal.Model(focal.Pairs(held, 0.3, 18.0), blank_ones, (0.0, 60.0), focal.LIMITS)
        shown = model.shown(start).reshape(2, 24, 26)
        noisy = rng.poisson(shown).astype(float) if counts else shown + rng.standard_t(2, shown.shape)
        photos = [focal.Photo(one, counts) for one in noisy]
        fit = fit_series(photos, held, [focal.AFFINE], (0.0, 60.0), focal.LIMITS, convergence=0.3, start=start)
        target = target_of_series(fit)
        best = target.modes[0].values
        assert target.cost(best) * target.unit == pytest.approx(fit.best.cost, rel=1e-6)
        assert ("offset of image 2" in target.names) == (not counts)
        assert target.shown[:4] == ("thickness", "defocus", "focus_step", "Cs")
        for n in range(4):
            moved = best.copy()
            moved[n] += 0.3 / np.sqrt(np.linalg.inv(target.modes[0].covariance)[n, n])
            assert target.cost(moved) > target.cost(best)


@pytest.mark.slow
def test_samples_of_a_fit_agree_with_its_covariance(held, rng, tmp_path):
    """Two detectors, many electrons: nearly a normal posterior of fifteen parameters."""
    fit = fit_images(counted(held, rng), held, [[0.2, 0.0], [0.0, 0.2]], start=TRUTH)
    made = sample(target_of_images(fit), seed=1, steps=130)  # where 280 are enough by its own measure
    assert made.apart.max() < 1.1 and made.effective.min() > 400
    for n, name in enumerate(("thickness", "defocus", "C12a", "C12b", "source_size")):
        assert made.error(name) == pytest.approx(fit.error(name), rel=0.15), name
        middle = made.values[:, made.target.names.index(name)].mean()
        assert middle == pytest.approx(fit.state.values[n], abs=0.3 * fit.error(name)), name
    draw_posterior(made, [fit.error(name) for name in made.target.shown], tmp_path / "posterior.png")
    assert (tmp_path / "posterior.png").stat().st_size > 1e4


def test_doubts_of_detectors_are_nuisance_parameters(rng):
    """An inner angle in doubt by 5 % widens the posterior by what the images do not tell of the angle."""
    wrong = DETECTORS[0].model_copy(update={"inner": 21.0})
    held = response_with_edges([21.0])
    state = State(TRUTH.values, np.array([4e5, 3e4]), TRUTH.offsets)
    expected = Model(held, blank()).shown(state)
    images = [
        replace(one, values=rng.poisson(e).reshape(one.values.shape).astype(float), counts=True)
        for one, e in zip(blank(), expected, strict=True)
    ]
    images[0] = replace(images[0], doubt=wrong)
    fit = fit_images(images, held, [[0.2, 0.0], [0.0, 0.2]], start=state)
    target = target_of_images(fit)
    assert target.names[-1] == "angle of ADF"
    plain = fit_images([replace(one, doubt=None) for one in images], held, np.eye(2), start=fit.state)
    before, with_doubt = plain.error("thickness") ** 2, fit.error("thickness") ** 2
    made = target.modes[0].covariance
    # what is left in doubt after the images were seen shifts the thickness (inverse of a bordered matrix)
    assert 0 < made[-1, -1] < 1
    assert made[0, 0] == pytest.approx(before + (with_doubt - before) * made[-1, -1], rel=0.02)
    assert made[0, 0] > 1.05 * before


def test_chains_start_where_the_posterior_has_its_minimum_not_the_fit(rng):
    """A detector that is off by two standard errors: the images say so, and no first-order way leads further down."""
    wrong = DETECTORS[0].model_copy(update={"inner": 20.4})
    held = response_with_edges([20.4])
    state = State(TRUTH.values, np.array([4e5, 3e5]), TRUTH.offsets)
    model = Model(held, blank())
    right = model.shown(state)
    off = Model(held, [replace(blank()[0], detector=wrong), blank()[1]]).shown(state)
    expected = [right[0] + 2 * (off[0] - right[0]), right[1]]
    images = [
        replace(one, values=rng.poisson(e).reshape(one.values.shape).astype(float), counts=True)
        for one, e in zip(blank(), expected, strict=True)
    ]
    images[0] = replace(images[0], doubt=wrong)
    target = target_of_images(fit_images(images, held, [[0.2, 0.0], [0.0, 0.2]], start=state))
    best = target.modes[0]
    errors = np.sqrt(np.diag(best.covariance))
    assert best.values[-1] == pytest.approx(2.0, abs=3 * errors[-1]) and errors[-1] < 0.9
    slopes = []
    for step in np.diag(0.05 / np.sqrt(np.diag(np.linalg.inv(best.covariance)))):
        slopes.append((target.cost(best.values + step) - target.cost(best.values - step)) / (2 * step.max()))
    assert np.array(slopes) @ best.covariance @ slopes < 0.01  # twice what a further step would gain
    doubtless = np.append(best.values[:-1], 0.0)
    assert target.cost(doubtless) - target.cost(best.values) > 1
