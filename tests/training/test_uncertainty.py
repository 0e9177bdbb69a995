"""Error bars: coverage where the truth is known, novelty of what is new, members whose mean is the density."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import ase.build
import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.convert import as_kind
from rhotem.labels.label import Label
from rhotem.learned.calibration import HALF_WIDTH, Calibration, load_calibration, save_calibration
from rhotem.learned.error_bars import (
    FLOOR,
    at_points,
    make_inputs,
    member_statistics,
    members_at_points,
    nearest_atoms,
    uncertain_density,
    widening,
)
from rhotem.learned.model import LearnedModel
from rhotem.learned.novelty import LARGEST, UNKNOWN, atom_features, of_structure
from rhotem.learned.settings import ModelSettings, NequipSettings
from rhotem.learned.source import Model
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_learned, save_model
from rhotem.training.dataset import read_labels
from rhotem.training.error_bars.calibrate import Known, assess, borrow, calibrate_run, new_parents, run_labels
from rhotem.training.error_bars.coverage import (
    HeldOut,
    actual_error,
    by_quintile,
    covered,
    expected_error,
    left_out_one_by_one,
    left_out_weights,
    log_score,
    potential_report,
    useful,
)
from rhotem.training.error_bars.fit import Voxels, conformal_factor, family_shares, fit, weighted_quantile
from rhotem.training.error_bars.novelty import auroc, learn_from_features
from rhotem.training.network.model import DensityModel, make_model
from rhotem.training.shares import deal

SMALL = NequipSettings(channels=8, scalars=16, embedding=4, radial_width=8, lmax_sent=1, layers=1)
TRUE = np.array([-0.5, 0.4, 0.3, 0.0, -0.6, 0.0, 0.3])


def made_up(rng: np.random.Generator, family: str, points: int = 2000) -> Voxels:
    """Laplace errors whose typical size is known."""
    mean, spread = rng.normal(size=points) * 0.1, rng.exponential(0.02, points)
    inputs = make_inputs(mean, spread, rng.uniform(0.0, 2.0, points), np.full(points, rng.normal()))
    error = rng.laplace(size=points) * np.exp(inputs @ TRUE)
    return Voxels("x", family, error, mean, inputs)


@pytest.fixture(scope="module")
def groups() -> list[Voxels]:
    rng = np.random.default_rng(0)
    return [made_up(rng, name) for name in "aaabbcddddef"]


@pytest.fixture(scope="module")
def network() -> DensityModel:
    settings = ModelSettings(nequip=SMALL, elements=[3, 8, 11], members=5)
    return make_model(settings, seed=2).double().eval()


@pytest.fixture(scope="module")
def model(network) -> LearnedModel:
    return as_learned(network)


def lithium_oxide(a: float = 4.62, z: int = 3) -> Structure:
    cell = 0.5 * a * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    sites = [[0, 0, 0], [0.25] * 3, [0.75] * 3]
    return Structure(ase.Atoms([8, z, z], scaled_positions=sites, cell=cell, pbc=True))


def test_weights_of_known_errors_are_found_again(groups):
    np.testing.assert_allclose(fit(groups)[[1, 2, 4, 6]], TRUE[[1, 2, 4, 6]], atol=0.05)
    # the 90 % quantile of |x| of a Laplace distribution of scale 1 is ln 10
    assert conformal_factor(groups, fit(groups)) == pytest.approx(np.log(10.0), rel=0.05)


def test_intervals_cover_what_they_say_on_families_never_seen(groups):
    report = left_out_one_by_one(groups)
    assert set(report["families"]) == set("abcdef")
    for row in report["families"].values():
        assert 0.87 < row["coverage"] < 0.93
        assert all(0.85 < c < 0.95 for c in row["coverage_by_quintile"])
    overall = report["overall"]
    assert overall["log_score"] > overall["log_score_distance"] + 0.1 > overall["log_score_constant"] + 0.1
    assert overall["rank_correlation"] > 0.3


def borrowed_from(rng: np.random.Generator, family: str, smaller: float) -> Voxels:
    """As `made_up`, of a label that some members were trained on: its errors are smaller."""
    own = made_up(rng, family, 1000)
    return replace(own, error=smaller * own.error, borrowed=True)


def all_alike(group: Voxels) -> Voxels:
    """The same with novelty 0."""
    inputs = group.inputs.copy()
    inputs[:, 6] = 0.0
    return replace(group, inputs=inputs, error=group.error * np.exp((inputs - group.inputs) @ TRUE))


def test_borrowed_errors_teach_how_errors_vary_and_not_how_large_they_are(groups):
    rng = np.random.default_rng(7)
    borrowed = [borrowed_from(rng, name, 0.4) for name in "ghijklmnopq"]
    few = [all_alike(g) for g in groups[:4]]
    assert fit(few)[6] == 0.0  # nothing is known of novelty
    both = fit([*few, *borrowed])
    np.testing.assert_allclose(both[[1, 2, 4, 6]], TRUE[[1, 2, 4, 6]], atol=0.05)
    assert conformal_factor([*few, *borrowed], both) == conformal_factor(few, both)
    cover = np.mean([covered(g, both, conformal_factor(few, both)).mean() for g in groups[4:]])
    assert cover == pytest.approx(0.9, abs=0.03)
    with pytest.raises(InputError, match="no held-out"):
        fit(borrowed)


def test_labels_are_borrowed_where_they_help(groups):
    """Where held-out labels say nothing of novelty; not where their errors follow another law."""
    rng = np.random.default_rng(9)
    borrowed = [borrowed_from(rng, name, 0.4) for name in "ghijk"]
    few = [all_alike(groups[0]), all_alike(groups[3]), groups[-2]]
    assert useful(few, borrowed)[0] == borrowed
    other = [replace(b, inputs=b.inputs @ np.diag([1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0])) for b in borrowed]
    chosen, weights = useful(groups, other)
    assert not chosen
    np.testing.assert_array_equal(weights["a"], left_out_weights(groups)["a"])


def test_slabs_are_left_out_with_their_crystal(groups):
    """Neither held-out nor borrowed labels of a crystal say anything of its surface."""
    rng = np.random.default_rng(8)
    slab = made_up(rng, "g-slab100")
    loud = [borrowed_from(rng, "g", 50.0), made_up(rng, "g")]
    weights = left_out_weights([*groups, slab, loud[1]], loud[:1])
    np.testing.assert_array_equal(weights["g-slab100"], fit(groups))
    assert np.abs(weights["a"] - fit(groups)).max() > 1e-3


def test_potentials_of_slabs_are_judged_without_their_crystal():
    """Errors of one spread cover themselves, but not with a crystal of large errors; its slab is not told of them."""
    rng, s = np.random.default_rng(3), lithium_oxide()
    grid = PeriodicGrid(s.cell, (2, 2, 2))
    found = []
    for family, size in (("a", 1.0), ("b", 1.0), ("g", 50.0), ("g-slab100", 50.0)):
        label = Label.of_field(s, np.zeros(grid.shape), family, family)
        own = make_inputs(*np.full((3, 9), 0.1), np.zeros(9))
        errors = size * rng.normal(size=4000), np.ones(4000)
        found.append(HeldOut(label, Voxels(family, family, np.zeros(9), np.zeros(9), own), errors, np.zeros(3), None))
    nothing = np.zeros(0), np.zeros(0)  # of voxels alone the potential is not known
    found = [replace(found[0], label=Label.of_field(s, np.zeros(grid.shape), "silent"), potential=nothing), *found]
    report, _ = potential_report(found, {f.label.family: np.zeros(7) for f in found})
    assert "silent" not in report["families"] and potential_report(found[:1], {"silent": np.zeros(7)}) == ({}, 1.0)
    # the 90 % quantile of |x| of families a and b is 1.645, that of errors 50 times larger covers 2.6 %
    for family in ("g", "g-slab100"):
        assert report["families"][family] == pytest.approx(0.026, abs=0.01)
    assert report["families"]["a"] > 0.99


def test_members_that_were_not_trained_on_a_label_judge_it(model):
    s = lithium_oxide()
    grid = PeriodicGrid(s.cell, (8, 8, 8))
    labels = [Label.of_field(s, np.zeros(grid.shape), "antifluorite", name) for name in "abc"]
    novelty = {"a": np.zeros(3), "b": np.zeros(3), "c": np.array([0.0, 0.0, LARGEST])}
    known = Known(None, None, novelty)  # the banks are not asked
    every = [0, 1, 2, 3, 4]
    dealt = {"a": [0, 2, 4], "b": every, "c": [0]}
    (only,) = borrow(model, known, labels, dealt, np.random.default_rng(1))
    assert only.name == "a" and only.borrowed
    index = np.random.default_rng(1).integers(0, grid.size, len(only.error))
    each = members_at_points(model, s, grid.points().reshape(-1, 3)[index])
    np.testing.assert_allclose(only.error, 0.5 * (each[1] + each[3]), atol=1e-12)
    np.testing.assert_allclose(np.exp(only.inputs[:, 1]) - FLOOR, each.std(0, ddof=1), atol=1e-12)


def test_too_small_error_bars_are_seen(groups):
    weights = fit(groups)
    small = weights.copy()
    small[0] -= 1.0
    factor = conformal_factor(groups, weights)
    assert covered(groups[0], small, factor).mean() < 0.65
    assert log_score(groups[0], small) < log_score(groups[0], weights) - 0.2
    assert np.mean(by_quintile(groups[0], weights, factor)) == pytest.approx(covered(groups[0], weights, factor).mean())


def test_families_count_alike_however_many_structures_they_have():
    values = [np.zeros(10), np.zeros(30), np.ones(5)]
    shares = family_shares(["many", "many", "one"], values)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[-5:].sum() == pytest.approx(0.5) and shares[:10].sum() == pytest.approx(0.25)
    assert weighted_quantile(np.concatenate(values), shares, 0.45) == 0.0
    assert weighted_quantile(np.concatenate(values), shares, 0.55) == 1.0


def test_auroc_is_the_rank_statistic():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=30), rng.normal(0.8, 1.0, 40)
    assert auroc(a, b) == pytest.approx(mannwhitneyu(b, a).statistic / (30 * 40))
    assert np.isnan(auroc([], b))


@pytest.fixture(scope="module")
def bank(model):
    rng = np.random.default_rng(0)
    train, parents = [], []
    for a in (4.5, 4.55, 4.6, 4.65, 4.7, 4.75):
        s = lithium_oxide(a)
        s.atoms.rattle(0.03, rng=rng)
        train.append(s)
        parents.append(f"{a}")
    features = [atom_features(model, s) for s in train]
    return learn_from_features(features, [s.numbers for s in train], parents, rng)[0]


def test_what_is_new_is_found(model, bank):
    usual = bank.novelty(model, lithium_oxide(4.62))
    rock = Structure(ase.build.bulk("LiO", "rocksalt", a=4.1))
    assert usual.max() < bank.novelty(model, rock).min()  # no new element
    assert bank.novelty(model, lithium_oxide(5.5)).mean() > usual.mean() + 0.5
    sodium = bank.novelty(model, lithium_oxide(5.5, z=11))
    assert (sodium[1:] == UNKNOWN).all() and sodium[0] > usual.max()


def atoms_of_parents(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Features of eight atoms per parent: what the parent is, and where the atom is in it, in units far apart."""
    units = np.logspace(-2, 2, 12)
    return [units * (rng.normal(size=12) + 0.5 * rng.normal(size=(8, 12))) for _ in range(count)]


def test_new_parents_of_the_same_kind_are_as_usual():
    """Parents that were not there when the distances were made comparable, not those that were."""
    rng = np.random.default_rng(5)
    features = atoms_of_parents(rng, 80)
    numbers = [np.full(8, 8)] * 40
    bank = learn_from_features(features[:40], numbers, [f"{i}" for i in range(40)], rng)[0]
    novelty = np.concatenate([bank.of_features(f, numbers[0]) for f in features[40:]])
    assert abs(np.median(novelty)) < 0.1
    far = np.concatenate([bank.of_features(4.0 * f, numbers[0]) for f in features[40:]])
    assert auroc(novelty, far) > 0.95


def test_novelty_does_not_depend_on_the_units_of_features():
    rng = np.random.default_rng(6)
    features = atoms_of_parents(rng, 30)
    numbers, names = [np.full(8, 8)] * 29, [f"{i}" for i in range(29)]
    scales = np.logspace(1, -1, 12)
    bank = learn_from_features(features[:29], numbers, names, np.random.default_rng(0))[0]
    other = learn_from_features([f * scales for f in features[:29]], numbers, names, np.random.default_rng(0))[0]
    expected = bank.of_features(features[29], numbers[0])
    np.testing.assert_allclose(other.of_features(features[29] * scales, numbers[0]), expected, atol=0.02)


def test_one_unknown_element_makes_a_structure_unknown():
    assert of_structure(np.array([0.0] * 20 + [UNKNOWN])) == UNKNOWN
    assert of_structure(np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(1.0)


def test_expected_error_is_the_actual_one_where_the_size_of_errors_is_known():
    group = made_up(np.random.default_rng(4), "a", 20000)
    assert expected_error(group, TRUE) == pytest.approx(actual_error(group), rel=0.05)


def test_copies_of_training_structures_do_not_calibrate():
    """Whatever they are called; another phase of the same elements does."""

    def label(name: str, structure: Structure, family: str) -> Label:
        return Label.of_field(structure, np.zeros((2, 2, 2)), family, name)

    train = [label("a", lithium_oxide(4.62), "antifluorite")]
    double = Structure(lithium_oxide(4.65).atoms.repeat((1, 1, 2)))
    hexagonal = Structure(ase.Atoms([8, 3, 3], [[0, 0, 0], [0, 0, 2], [1.6, 0, 1]], cell=[3.2, 3.2, 4.0], pbc=True))
    others = [
        label("same parent", lithium_oxide(4.7), "antifluorite"),
        label("copy", double, "Li2O"),
        label("new phase", hexagonal, "another"),
        label("unknown element", lithium_oxide(4.6, z=19), "another"),
    ]
    assert [x.name for x in new_parents(others, train, [3, 8])] == ["new phase"]


@pytest.fixture(scope="module")
def calibration(bank) -> Calibration:
    return Calibration(TRUE, 2.3, 3.0, bank, {"overall": {}})


def test_sigma_is_a_scalar_field(model, calibration):
    """It turns with the crystal, and tiles."""
    s = lithium_oxide()
    s.atoms.rattle(0.1, seed=1)
    grid = PeriodicGrid(s.cell, (6, 7, 8))
    whole = uncertain_density(model, calibration, s, grid)
    assert whole.sigma.min() > 0.0 and whole.spread.max() > 0.0
    turn = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    turned = Structure(ase.Atoms(s.numbers, s.positions @ turn.T, cell=s.cell @ turn.T, pbc=True))
    again = uncertain_density(model, calibration, turned, PeriodicGrid(turned.cell, grid.shape))
    np.testing.assert_allclose(again.sigma, whole.sigma, rtol=1e-6)
    double = Structure(s.atoms.repeat((1, 1, 2)))
    tiled = uncertain_density(model, calibration, double, PeriodicGrid(double.cell, (6, 7, 16)))
    np.testing.assert_allclose(tiled.sigma, np.concatenate([whole.sigma] * 2, axis=2), rtol=1e-6)


def test_sigma_is_that_of_the_interval(calibration):
    """90 % of a Gaussian lie within 1.645 σ: the half-width is the factor times the typical error."""
    inputs = make_inputs(np.array([0.1]), np.array([0.02]), np.array([1.0]), np.array([0.0]))
    assert HALF_WIDTH * calibration.sigma(inputs)[0] == pytest.approx(2.3 * np.exp(inputs[0] @ TRUE))


@pytest.fixture
def source(network, calibration, tmp_path) -> Model:
    path: Path = tmp_path / "ensemble.safetensors"
    save_model(path, copy.deepcopy(network).float(), {"name": "ensemble"})
    save_calibration(path, calibration)
    return Model(str(path))


def test_members_average_to_the_density_and_spread_as_asked(source, model, calibration):
    s = lithium_oxide()
    grid = PeriodicGrid(s.cell, (12, 12, 12))
    fields = [as_kind(f, "deformation").values for f in source.members(s, grid)]
    assert len(fields) == 5
    mean = as_kind(source(s, grid), "deformation").values
    np.testing.assert_allclose(np.mean(fields, axis=0), mean, atol=2e-5 * np.abs(mean).max())
    _, spread = member_statistics(source.model, s, grid)
    widened = np.std(fields, axis=0, ddof=1)
    # members are counted one by one, which moves a little of each
    scale = widening(source.model, load_calibration(source.path), s)
    np.testing.assert_allclose(widened, scale * spread, atol=0.05 * widened.max())
    # on the whole they are three times (the factor) as far apart as the typical error is large
    typical = uncertain_density(source.model, calibration, s, grid).sigma * HALF_WIDTH / 2.3
    assert (scale * spread).mean() == pytest.approx(3.0 * typical.mean(), rel=0.1)
    for values in fields:
        assert abs(grid.integrate(values)) < 1e-5


def test_stored_beside_the_weights_bit_for_bit(source, calibration, tmp_path):
    again = load_calibration(source.path)
    assert (again.weights == calibration.weights).all() and again.potential_factor == 3.0
    crystal = lithium_oxide(4.8)
    expected = calibration.bank.novelty(source.model, crystal)
    np.testing.assert_allclose(again.bank.novelty(source.model, crystal), expected, atol=5e-3)  # kept in 16 bits
    weights = source.path.read_bytes()
    source.path.write_bytes(weights[:-4] + bytes(4))
    with pytest.raises(InputError, match="other weights"):
        load_calibration(source.path)
    source.path.write_bytes(weights)
    (tmp_path / "uncertainty" / "ensemble.json").write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        load_calibration(source.path)


def test_training_atoms_are_not_kept_twice(source, calibration, tmp_path):
    """Of a second model of the same labels only its own numbers are written; of other labels, none."""
    twin = tmp_path / "twin.safetensors"
    for ending in (".safetensors", ".json"):
        twin.with_suffix(ending).write_bytes(source.path.with_suffix(ending).read_bytes())
    path = save_calibration(twin, replace(calibration, factor=1.5), source.path)
    side = json.loads(path.with_suffix(".json").read_text())
    assert path.stat().st_size < 200 and side["known"]["model"] == "ensemble"
    path.with_suffix(".json").write_text(json.dumps(side | {"known": side["known"] | {"model": str(source.path)}}))
    again, theirs = load_calibration(twin), load_calibration(source.path)
    assert again.factor == 1.5 and (again.weights == calibration.weights).all()
    np.testing.assert_array_equal(again.bank.features, theirs.bank.features)
    other = replace(calibration, bank=replace(calibration.bank, usual=2.0 * calibration.bank.usual))
    with pytest.raises(InputError, match="other training atoms"):
        save_calibration(twin, other, source.path)
    save_calibration(source.path, other)
    with pytest.raises(InputError, match="made beside another"):
        load_calibration(twin)


def test_what_a_model_is_judged_by_is_one_more_opinion(source, calibration, tmp_path):
    """It widens the spread and is propagated like a member; the density stays the mean of the members."""
    s = lithium_oxide()
    grid, points = PeriodicGrid(s.cell, (12, 12, 12)), np.random.default_rng(0).random((50, 3)) @ s.cell
    judge = tmp_path / "judge.safetensors"
    save_model(judge, make_model(ModelSettings(nequip=SMALL, elements=[3, 8]), seed=2), {"name": "judge"})
    side = source.path.with_suffix(".json")
    side.write_text(json.dumps(json.loads(side.read_text()) | {"judged_by": str(judge)}))
    with pytest.raises(InputError, match="made beside another"):
        load_calibration(source.path)
    save_calibration(source.path, calibration)
    judged = Model(str(source.path))
    assert (source.member_count, judged.member_count) == (5, 6)
    fields = list(judged.members(s, grid))
    values = [as_kind(f, "deformation").values for f in fields]
    mean, theirs = (as_kind(m(s, grid), "deformation").values for m in (judged, Model(str(judge))))
    np.testing.assert_allclose(np.mean(values[:5], axis=0), mean, atol=2e-5 * np.abs(mean).max())
    expected = mean + fields[5].record["widening"] * (theirs - mean)
    np.testing.assert_allclose(values[5], expected, atol=1e-4 * np.abs(expected).max())
    own, every = (members_at_points(m.model, s, points) for m in (source, judged))
    np.testing.assert_allclose(every[:5], own, atol=1e-9)
    centre, spread = at_points(judged.model, s, points)
    np.testing.assert_allclose(centre, own.mean(0), atol=1e-9)
    np.testing.assert_allclose(spread, every.std(0, ddof=1), atol=1e-9)
    on_points = grid.points().reshape(-1, 3)
    mean, spread = (a.ravel() for a in member_statistics(judged.model, s, grid))
    for found, wanted in zip((mean, spread), at_points(judged.model, s, on_points), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6 * np.abs(mean).max())


def test_without_members_or_calibration_one_line_says_so(model, tmp_path):
    s = lithium_oxide()
    grid = PeriodicGrid(s.cell, (8, 8, 8))
    single = make_model(ModelSettings(nequip=SMALL, elements=[3, 8]), seed=2)
    save_model(tmp_path / "single.safetensors", single, {"name": "single"})
    with pytest.raises(InputError, match="no calibrated uncertainty"):
        Model(str(tmp_path / "single.safetensors")).members(s, grid)


def test_a_run_is_calibrated_on_what_it_held_out(tmp_path):
    """Labels of four families, errors of a model that was hardly trained: intervals are as wide as these."""
    rng = np.random.default_rng(3)
    names = {"train": [], "family": [], "unseen": []}
    for index, family in enumerate(["one", "one", "two", "three", "four", "four"]):
        s = lithium_oxide(4.4 + 0.1 * index) if index < 5 else Structure(ase.build.bulk("LiO", "rocksalt", a=4.1))
        s.atoms.rattle(0.05, rng=rng)
        grid = PeriodicGrid(s.cell, (16, 16, 16))
        _, nearest = nearest_atoms(s, grid.points().reshape(-1, 3))
        values = 0.1 * np.where(s.numbers[nearest] == 8, 1.0, -0.5).reshape(grid.shape)
        meta = json.dumps({"family": family, "spinpol": False})
        fields = {"numbers": s.numbers, "positions": s.positions, "cell": s.cell, "meta": meta}
        np.savez(tmp_path / f"{index}.npz", deformation=(values - values.mean()).astype(np.float16), **fields)
        if index < 5:  # the last is made since
            names["train" if index == 0 else "family" if index == 1 else "unseen"].append(str(index))
    run = tmp_path / "run"
    run.mkdir()
    data = {"labels": [str(tmp_path)], "unseen": ["two", "three", "four"]}
    settings = {"data": data, "train": {"member_share": 0.4, "seed": 1}}
    (run / "config.json").write_text(json.dumps({"config": settings, **names}))
    model = make_model(ModelSettings(nequip=SMALL, elements=[3, 8], members=3), seed=2)
    save_model(run / "model.safetensors", model, {"name": "hardly"})
    own = run_labels(run)
    assert own.unseen == ["2", "3", "4", "5"]
    assert [own.members[label.name] for label in own.train] == deal(own.train, 3, 0.4, 1)  # as in training
    path, calibration = calibrate_run(run)
    assert calibration.arrangements is not None
    assert path == run / "uncertainty" / "model.safetensors"
    found = assess(as_learned(model), load_calibration(run / "model.safetensors"), read_labels([tmp_path])[1:])
    assert found["overall"]["coverage"] == pytest.approx(0.9, abs=0.03)
    assert set(calibration.report["families"]) == {"one", "two", "three", "four"}
    assert calibration.potential_factor > 1.0  # untrained members agree with each other and not with DFT
    with pytest.raises(InputError, match=r"config\.json"):
        calibrate_run(tmp_path)
