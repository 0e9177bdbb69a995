"""Weighing: evidence against a Gaussian integral, A against A, false alarms, dose, and atoms that move alike."""

from dataclasses import replace

import numpy as np
import pytest

from rhotem.analysis import responses, run
from rhotem.analysis.alike import AlikePotentials, partners
from rhotem.core import InputError
from rhotem.experiment.fit.images import Recorded, State
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.weigh import Explained, ImageHypothesis, weigh
from rhotem.experiment.weigh.dose import DECIDED, factor_that_decides, share_decided
from rhotem.experiment.weigh.named import parse_hypotheses
from rhotem.experiment.weigh.report import draw, table, verdict
from rhotem.experiment.weigh.weighing import displaced
from rhotem.scattering.response import Range, mean_response
from rhotem.structure.model import Structure

from .four_columns import DETECTORS, PIXELS, SHAPE, made
from .four_columns import VALUES as TRUTH


@pytest.fixture(scope="module")
def light():
    return made(8.0)


@pytest.fixture(scope="module")
def heavy():
    return made(8.8)


def counted(held, electrons, rng):
    expected = Model(held, [Recorded(d, np.zeros(SHAPE)) for d in DETECTORS]).shown(
        State(TRUTH, np.full(2, electrons), np.zeros(2))
    )
    pairs = zip(DETECTORS, expected, strict=True)
    return [Recorded(d, rng.poisson(e).reshape(SHAPE).astype(float), True) for d, e in pairs]


def test_evidence_is_that_of_a_linear_model(rng):
    """Data = a + b x + noise with Gaussian priors: the integral is a multivariate normal density."""
    from scipy.stats import multivariate_normal

    x, prior = np.linspace(-1, 1, 30), np.array([2.0, 3.0])
    design = np.stack([np.ones(30), x], axis=1)
    data = design @ [1.0, -2.0] + rng.normal(size=30)
    exact = multivariate_normal(np.zeros(30), np.eye(30) + design @ np.diag(prior**2) @ design.T).logpdf(data)
    best = np.linalg.solve(design.T @ design + np.diag(prior**-2.0), design.T @ data)
    cost = 0.5 * ((data - design @ best) ** 2).sum() + 0.5 * ((best / prior) ** 2).sum()
    information = np.linalg.eigvalsh((design * prior).T @ (design * prior))
    found = Explained(best, np.array([cost]), information, 30, 1.0).evidence()
    assert found - 15 * np.log(2 * np.pi) == pytest.approx(exact, abs=1e-9)


def test_a_against_a_gives_nothing(light, rng):
    pair = [ImageHypothesis(name, light, PIXELS) for name in ("A", "A again")]
    weighed = weigh(pair, counted(light, 2e4, rng), trials=1)
    assert weighed.evidence == pytest.approx([0.0, 0.0], abs=1e-2)
    assert weighed.factor == np.inf and weighed.check is None
    assert "undecided" in verdict(weighed) and "no dose tells them apart" in verdict(weighed)


@pytest.mark.slow
def test_the_true_one_wins_and_the_dose_said_decides(light, heavy, rng, tmp_path):
    """A column 10 % stronger: undecided at few electrons, and the dose that is said decides 95 % of recordings."""
    pair = [ImageHypothesis("light", light, PIXELS), ImageHypothesis("heavy", heavy, PIXELS)]
    weighed = weigh(pair, counted(heavy, 2e4, rng), trials=12)
    apart = weighed.worlds.apart()
    assert apart[0, 1] == pytest.approx(apart[1, 0], rel=0.05)
    assert np.diag(apart) == pytest.approx([0.0, 0.0], abs=1e-3)
    # ln odds of simulated recordings: mean D, variance 2 D, both by theory
    seen = np.concatenate([weighed.trials.odds(0, 1), weighed.trials.odds(1, 0)])
    assert seen.mean() == pytest.approx(apart[0, 1], abs=4 * np.sqrt(2 * apart[0, 1] / len(seen)))
    assert weighed.check is not None and weighed.factor > 1
    assert np.diag(weighed.check.decided).mean() > 0.8
    assert weighed.check.decided[[0, 1], [1, 0]].mean() < 0.1
    far = weigh(pair, counted(heavy, 3e5, rng), trials=1)
    assert far.names[far.order[0]] == "heavy" and far.margin > DECIDED
    assert verdict(far).startswith("heavy, not light")
    draw(weighed, tmp_path / "weigh.png")
    assert (tmp_path / "weigh.png").stat().st_size > 1e4
    assert table(weighed).count("\n") == 2 and weighed.record()["dose_factor"] == weighed.factor


def test_what_no_hypothesis_holds_decides_nothing(light, heavy, rng):
    """A ghost of one detector in the other: whatever the odds are, the verdict says that they mean nothing."""
    truth = Model(heavy, [Recorded(d, np.zeros(SHAPE)) for d in DETECTORS])
    expected = truth.shown(State(TRUTH, np.full(2, 3e5), np.zeros(2)))
    ghost = np.roll(expected[0].reshape(SHAPE), (5, 3), axis=(0, 1)).ravel()
    expected[1] += 0.3 * np.std(expected[1]) * (ghost - ghost.mean()) / ghost.std()
    pairs = zip(DETECTORS, expected, strict=True)
    data = [Recorded(d, rng.poisson(np.maximum(e, 0)).reshape(SHAPE).astype(float), True) for d, e in pairs]
    pair = [ImageHypothesis("light", light, PIXELS), ImageHypothesis("heavy", heavy, PIXELS)]
    weighed = weigh(pair, data, trials=1)
    assert not weighed.decided
    said = verdict(weighed)
    assert said.startswith("undecided") and ("no hypothesis explains" in said or "something counts" in said)


def test_the_dose_that_decides_scales_with_what_is_seen():
    factor = factor_that_decides(2.0)
    assert factor_that_decides(4.0) == pytest.approx(factor / 2)
    assert float(share_decided(2.0, factor)) == pytest.approx(0.95, abs=1e-4)
    rng = np.random.default_rng(3)
    signal = np.full(50, np.sqrt(2 * 2.0 / 50))  # ln of the likelihood ratio of a known signal: mean 2, variance 4
    noise = rng.normal(size=(4000, 50)) / np.sqrt(factor)
    ratio = 0.5 * factor * (((signal + noise) ** 2).sum(axis=1) - (noise**2).sum(axis=1))
    assert (ratio > DECIDED).mean() == pytest.approx(0.95, abs=0.015)


@pytest.fixture(scope="module")
def cut():
    preset = run.adjusted_preset("layered-oxide", energy=200.0, convergence=18.0, detectors=["ADF=20-60"])
    return run.specimen(run.structure("SrTiO3"), zone=(0, 0, 1), thickness=2, preset=preset)


def shuffled(cut, rng):
    """The same specimen with its atoms in another order."""
    atoms = cut.block.structure.atoms
    order = rng.permutation(len(atoms))
    block = Structure(atoms[order], charge=0.0, info=cut.block.structure.info)
    return replace(
        cut, block=replace(cut.block, structure=block, atom_index=np.asarray(cut.block.atom_index)[order])
    ), order


def test_atoms_at_the_same_places_move_alike(cut, rng):
    other, order = shuffled(cut, rng)
    assert (partners(cut.block, other.block) == order).all()
    field = run.density(cut, "free-atoms")
    first = list(run.potential(cut, field, phonons=2, seed=4).displacements())
    second = AlikePotentials(other, field, None, cut, phonons=2, seed=4)
    assert second.alike == 1.0
    for one, two in zip(first, second.displacements(), strict=True):
        assert two == pytest.approx(one[order])


def test_an_atom_without_partner_moves_by_itself(cut):
    atoms = cut.block.structure.atoms.copy()
    atoms.positions[3] += [0.0, 0.0, 0.95]
    moved = replace(cut, block=replace(cut.block, structure=Structure(atoms, info=cut.block.structure.info)))
    rows = partners(cut.block, moved.block)
    assert rows[3] == -1 and (np.delete(rows, 3) >= 0).all()


def test_common_displacements_take_the_noise_of_phonons_away(cut, rng):
    """Images of one specimen with atoms in another order: equal if they move alike, not if they do not."""
    other, _ = shuffled(cut, rng)
    field, span = run.density(cut, "free-atoms"), Range(defocus=(0, 0))

    def image(made, potentials):
        return responses.response(made, potentials, range=span, edges=[]).images()["ADF"]

    first = image(cut, run.potential(cut, field, phonons=1))
    alike = image(other, AlikePotentials(other, field, None, cut, phonons=1))
    alone = image(other, run.potential(other, field, phonons=1))
    assert np.abs(alike - first).max() < 1e-4 * np.ptp(first)
    assert np.abs(alone - first).max() > 5e-3 * np.ptp(first)


def test_hypotheses_are_named_and_refused():
    names = [one.name for one in parse_hypotheses(["SrTiO3@free-atoms", "SrTiO3@model", "SrTiO3", "SrTiO3"])]
    assert names == ["SrTiO3@free-atoms", "SrTiO3@model", "SrTiO3", "SrTiO3 (2)"]
    with pytest.raises(InputError, match="give two or more"):
        parse_hypotheses(["SrTiO3"])
    with pytest.raises(InputError, match="no such source"):
        parse_hypotheses(["SrTiO3@iam", "SrTiO3"])


def test_the_same_structure_twice_is_known_whatever_the_order_of_its_atoms(tmp_path, rng):
    from rhotem.analysis.plan import Plan
    from rhotem.experiment.weigh.named import duplicates, same_crystal

    crystal = run.structure("SrTiO3")
    order = rng.permutation(len(crystal.atoms))
    shuffled_atoms = crystal.atoms[order]
    shuffled_atoms.positions += shuffled_atoms.cell[0]  # another cell of the same crystal
    assert same_crystal(crystal, Structure(shuffled_atoms))
    larger = shuffled_atoms.repeat((2, 1, 3))  # as a file from which an atom was to be taken out
    assert same_crystal(crystal, Structure(larger)) and same_crystal(Structure(larger), crystal)
    assert not same_crystal(crystal, Structure(larger, charge=1.0))
    assert same_crystal(Structure(crystal.atoms, charge=1.0), Structure(larger, charge=6.0))
    del larger[7]
    assert not same_crystal(crystal, Structure(larger))
    for change in ("places", "elements", "cell"):
        atoms = crystal.atoms.copy()
        if change == "places":
            atoms.positions[2] += [0.05, 0, 0]
        elif change == "elements":
            atoms.numbers[0] += 1
        else:
            atoms.set_cell(1.01 * atoms.cell.array, scale_atoms=True)
        assert not same_crystal(crystal, Structure(atoms)), change
    plans = {
        name: Plan(specimen={"structure": structure}, density={"source": source})
        for name, structure, source in (
            ("A", "SrTiO3", "free-atoms"),
            ("B", "LiF", "free-atoms"),
            ("A again", "SrTiO3", "free-atoms"),
            ("A bonded", "SrTiO3", "model"),
        )
    }
    assert duplicates(plans) == [("A", "A again")]


def test_bad_sets_of_hypotheses_are_refused(light):
    one = ImageHypothesis("A", light, PIXELS)
    with pytest.raises(InputError, match="two or more with different names"):
        weigh([one, one], [])
    with pytest.raises(InputError, match="trials 0"):
        weigh([one, replace(one, name="B")], [], trials=0)


def test_a_mean_of_responses_is_that_of_their_images_and_its_scatter_is_told(cut, rng):
    """Three sets of displacements of one specimen: images average, and the verdict knows that they differ."""
    field, span = run.density(cut, "free-atoms"), Range(defocus=(0, 10))
    levels = [0.5, 0.9, 1.3, 1.6, 1.95]
    draws = tuple(
        responses.response(cut, run.potential(cut, field, phonons=2, seed=s), thicknesses=levels, range=span, edges=[])
        for s in range(3)
    )
    mean = mean_response(draws)
    each = [one.images(defocus=5.0)["ADF"] for one in draws]
    assert mean.images(defocus=5.0)["ADF"] == pytest.approx(np.mean(each, axis=0), rel=1e-4, abs=1e-9)
    with pytest.raises(InputError, match="different beams"):
        mean_response([draws[0], draws[1].at(draws[1].thicknesses[:2])])
    values = np.array([14.0, 5.0, 0.0, 0.0, 0.8, 0.4, 0.3, 0.2, 0.0, 0.0, 0.2])
    blank = [Recorded(cut.preset.detectors[0], np.zeros(SHAPE))]
    expected = Model(mean, blank).shown(State(values, np.array([3e4]), np.zeros(1)))[0]
    data = [replace(blank[0], values=rng.poisson(expected).reshape(SHAPE).astype(float), counts=True)]
    pair = [
        ImageHypothesis("all", mean, PIXELS, draws),
        ImageHypothesis("turned", mean, PIXELS, (*draws[1:], draws[0])),
    ]
    weighed = weigh(pair, data, trials=1)
    assert weighed.margin == pytest.approx(0.0, abs=1e-2) and weighed.shaken > 1.0
    again = [pair[0], replace(pair[0], name="again")]
    assert displaced(again, data, weighed.found, weighed.unit).max() < 1e-2
