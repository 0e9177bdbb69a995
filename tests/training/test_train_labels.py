"""Training on what the repository holds: whole grids, chosen voxels of both kinds, runs that start from runs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.core import InputError
from rhotem.labels.label import Label
from rhotem.labels.members import decode, encode_few
from rhotem.labels.pack import sampled
from rhotem.labels.read import places
from rhotem.training.checkpoint import as_learned, load_network, load_tensors
from rhotem.training.config import Config, stages
from rhotem.training.dataset import make_sample, read_label, read_labels
from rhotem.training.evaluate import evaluate_label
from rhotem.training.loss import potential_target, sharpened
from rhotem.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "labels"
FOLDERS = [DATA / "whole", DATA / "voxels", DATA / "shards"]
CUTOFFS = (5.0, 2.2, 4.0)


@pytest.fixture(scope="module")
def whole():
    return read_label(min((DATA / "whole").glob("*.npz"), key=lambda p: p.stat().st_size))


def small(labels: list[Path], out: Path, **train: object) -> dict:
    return {
        "name": "tiny",
        "out": str(out),
        "data": {"labels": [str(folder) for folder in labels], "points": 100},
        "train": {"structures_per_step": 2, "evaluate_points": 100, "warmup": 2, "ema": 0.9, "device": "cpu", **train},
        "model": {"nequip": {"channels": 4, "scalars": 8, "embedding": 4, "radial_width": 8, "layers": 1}},
    }


@pytest.mark.parametrize("kind", ["few", "voxels"])
def test_draws_from_chosen_voxels_estimate_means_over_the_cell(whole, kind):
    """Σ weight·f over drawn voxels, averaged over many choices, against the mean over the whole grid."""
    exact = np.abs(whole.treated).mean(), (whole.treated**2).mean(), 1.0
    found = []
    for seed in range(40):
        if kind == "few":
            label = decode(encode_few(whole, f"{seed}"))
        else:
            whole.meta["job"] = f"{seed}"
            label = sampled(whole, 3000)
        sample = make_sample(label, CUTOFFS)
        drawn = sample.draw(2000, np.random.default_rng(seed))
        values, weight = drawn.target.double(), drawn.weight.double()
        found.append([float((weight * f).mean()) for f in (values.abs(), values**2, values**0)])
        assert sample.scale == pytest.approx(exact[0], rel=0.1)
    error = np.std(found, 0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, 0) - exact) < 4 * error + 1e-3 * np.array(exact)).all()


def test_the_whole_grid_is_drawn_from_as_ever(whole):
    """The generator is asked for the same numbers in the same order, so that old runs can be made again."""
    sample = make_sample(whole, CUTOFFS)
    drawn = sample.draw(100, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    values = whole.treated.ravel().astype(np.float32)
    sums = np.abs(values).cumsum(dtype=np.float64)
    rows = np.concatenate([rng.integers(0, len(values), 35), np.searchsorted(sums / sums[-1], rng.random(65))])
    np.testing.assert_array_equal(drawn.target.numpy(), values[rows])
    expected = 1.0 / (0.35 + 0.65 * np.abs(values[rows]) / np.abs(values).mean())
    np.testing.assert_allclose(drawn.weight.numpy(), expected, rtol=1e-6)


def test_potentials_of_few_voxels_are_those_of_the_grid(whole):
    from rhotem.learned.settings import ModelSettings
    from rhotem.training.network.model import make_model

    model = make_model(ModelSettings.model_validate(small([], Path())["model"]))
    blocks = model.readout.blocks
    exact = potential_target(whole, blocks)
    few = potential_target(decode(encode_few(whole, "a")), blocks)
    np.testing.assert_allclose(few.values, exact.values, atol=2e-4 * float(exact.values.abs().max()))
    np.testing.assert_allclose(few.weight, exact.weight, rtol=1e-3)
    assert few.values.shape == exact.values.shape


def test_a_model_at_hand_makes_estimated_potentials_sharper(whole):
    """A guess that a network makes is taken off at the voxels and added in closed form: still without bias."""
    import torch

    from rhotem.learned.settings import ModelSettings
    from rhotem.training.network.model import make_model
    from rhotem.training.watch import values_at

    model = make_model(ModelSettings.model_validate(small([], Path())["model"])).eval()
    exact = potential_target(whole, model.readout.blocks).values.numpy()
    found = []
    for seed in range(20):
        whole.meta["job"] = f"sharp {seed}"
        label = sampled(whole, 3000)
        sample = make_sample(label, model.cutoffs)
        goal = potential_target(label, model.readout.blocks)
        with torch.no_grad():
            coefficients = model(sample.graph)
            points = (sample.positions() @ label.grid.cell).astype(np.float32)
            predicted = values_at([model.readout], coefficients, sample, points).numpy()
            found.append(sharpened(goal, label, coefficients, predicted).values.numpy())
    error = np.std(found, 0) / np.sqrt(len(found))
    off = np.abs(np.mean(found, 0) - exact) / (error + 1e-3 * np.abs(exact).max())
    assert (off < 3.5).mean() > 0.97


def test_three_steps_on_labels_of_the_repository_of_every_kind(tmp_path):
    """A fresh clone trains, evaluates and goes on; validation of chosen voxels has errors, too."""
    known = places(FOLDERS)
    parts = json.loads((ROOT / "data" / "training" / "split.json").read_text())["parts"]
    kinds = {"whole": ".npz", "voxels": ".npz", "shards": ".zip"}
    demo = {path.stem: path.stat().st_size for path in (DATA / "demo").glob("*.npz") if path.stem in known}
    train = [
        next(name for name in parts["train"] if known[name].parent.name == folder and known[name].suffix == suffix)
        for folder, suffix in kinds.items()
    ]
    tested = min(set(parts["test"]) & set(demo), key=demo.__getitem__)
    held_out = [next(n for n in parts["validation"] if n in known), tested]
    split = {"parts": {"train": train, "validation": held_out[:1], "test": [tested, "nobody"]}}
    (tmp_path / "split.json").write_text(json.dumps(split))
    content = small(FOLDERS, tmp_path / "run", steps=3, evaluate_every=3, structures_per_step=3)
    content["data"]["split"] = str(tmp_path / "split.json")
    labels = read_labels(FOLDERS, wanted=[*train, *held_out])
    assert {x.complete for x in labels if x.name in train} == {True, False}
    trainer = Trainer(Config.model_validate(content), labels=labels)
    assert trainer.split.missing == ["nobody"]
    assert all(target is not None for target in trainer.targets)
    info = trainer.run()
    assert info["accuracy"]["family"]["structures"] == info["accuracy"]["validation"]["structures"] == 1
    assert 0 < info["accuracy"]["validation"]["deformation_error"] < 100
    assert "potential_error_ratio" in info["accuracy"]["family"]


def test_errors_of_few_voxels_are_those_of_the_whole_label(whole, tmp_path):
    from rhotem.learned.settings import ModelSettings
    from rhotem.training.network.model import make_model

    elements = sorted(set(whole.structure.numbers.tolist()))
    settings = {**small([], Path())["model"], "elements": elements}
    model = make_model(ModelSettings.model_validate(settings)).eval()
    exact, few = (
        evaluate_label(as_learned(model), whole),
        evaluate_label(as_learned(model), decode(encode_few(whole, "b"))),
    )
    for name in ("deformation_error", "nmae_valence_percent"):
        assert few[name] == pytest.approx(exact[name], rel=0.1)
    assert few["potential_error_ratio"] == pytest.approx(exact["potential_error_ratio"], rel=1e-3)
    voxels = evaluate_label(as_learned(model), sampled(whole, 4000))
    assert voxels["potential_error_ratio"] is None
    assert voxels["deformation_error"] == pytest.approx(exact["deformation_error"], rel=0.1)


def test_a_run_that_starts_from_a_run_trains_it_before(tmp_path, monkeypatch):
    """One command in a fresh clone; stopped anywhere, the same command goes on."""
    from rhotem.cli.train import app

    for path in sorted((DATA / "demo").glob("*.npz"), key=lambda p: p.stat().st_size)[:4]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    body = """
name = "{name}"
out = "runs/{name}"
[data]
labels = ["."]
test_fraction = 0.3
points = 60
[train]
steps = {steps}
structures_per_step = 2
evaluate_every = 100
evaluate_points = 60
save_every = 1
device = "cpu"
{start}
[model.nequip]
channels = 4
scalars = 8
embedding = 4
radial_width = 8
layers = 1
"""
    (tmp_path / "first.toml").write_text(body.format(name="first", steps=2, start=""))
    (tmp_path / "second.toml").write_text(body.format(name="second", steps=3, start='start = "first.toml"'))
    chain = stages(tmp_path / "second.toml")
    assert [c.name for c in chain] == ["first", "second"]
    assert Path(chain[1].train.start) == Path(chain[0].out) / "model.safetensors"
    assert [c.name for c in stages(tmp_path / "first.toml")] == ["first"]

    def run(*more: str) -> str:
        result = CliRunner().invoke(app, [str(tmp_path / "second.toml"), "--quiet", *more])
        assert result.exit_code == 0, result.output
        return result.output

    run("--steps", "1")
    assert not (tmp_path / "runs" / "first" / "model.safetensors").exists()
    run("--steps", "2")
    assert (tmp_path / "runs" / "first" / "model.safetensors").exists()
    assert json.loads((tmp_path / "runs" / "second" / "state.json").read_text())["step"] == 1
    run()
    assert load_network(tmp_path / "runs" / "second")[1]["info"]["steps"] == 5
    stopped = load_tensors(tmp_path / "runs" / "second" / "model.safetensors")
    (tmp_path / "runs").rename(tmp_path / "before")
    run()
    at_once = load_tensors(tmp_path / "runs" / "second" / "model.safetensors")
    assert all((at_once[name] == tensor).all() for name, tensor in stopped.items())
    (tmp_path / "third.toml").write_text(body.format(name="third", steps=1, start='start = "second.toml"'))
    shutil.rmtree(tmp_path / "runs" / "first")  # what it starts from is there
    assert CliRunner().invoke(app, [str(tmp_path / "third.toml"), "--quiet"]).exit_code == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["second", "third"]
    (tmp_path / "first.toml").write_text(body.format(name="first", steps=2, start='start = "second.toml"'))
    with pytest.raises(InputError, match="leads back"):
        stages(tmp_path / "second.toml")


def test_the_shipped_recipe_names_what_is_there():
    chain = stages(ROOT / "data" / "training" / "default.toml")
    assert [c.name for c in chain] == ["unseen", "first", "second", "third", "default"]
    for config in chain:
        assert all(Path(folder).is_dir() for folder in config.data.labels)
        assert Path(config.data.split).is_file()


def test_error_bars_and_spin_are_learned_from_few_voxels(tmp_path):
    """Voxels drawn evenly have the mean of the cell; the potential's errors are those of the whole label."""
    from rhotem.learned.settings import ModelSettings
    from rhotem.training.error_bars.calibrate import draw, projected_potential_errors
    from rhotem.training.network.model import make_model
    from rhotem.training.spin import spin_goal

    label = next(x for x in read_labels([DATA / "whole"]) if x.magnetization is not None and len(x.structure) < 8)
    elements = sorted(set(label.structure.numbers.tolist()))
    settings = {**small([], Path())["model"], "elements": elements, "members": 3}
    model = make_model(ModelSettings.model_validate(settings)).eval()
    novelty = np.zeros(len(label.structure))
    few = read_label_of(encode_few(label, "d"), label)
    sizes = []
    for one in (label, few):
        rng = np.random.default_rng(1)
        drawn = draw(as_learned(model), one, novelty, rng)
        errors, spreads = projected_potential_errors(as_learned(model), one, np.random.default_rng(2))
        sizes.append((np.abs(drawn.target).mean(), np.sqrt((errors**2).mean()), np.sqrt((spreads**2).mean())))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)
    assert sizes[1][1:] == pytest.approx(sizes[0][1:], rel=1e-3)
    assert projected_potential_errors(as_learned(model), sampled(label, 2000), np.random.default_rng(2))[0].size == 0

    found = []
    exact = np.abs(label.treated_magnetization).mean()
    for seed in range(30):
        part = read_label_of(encode_few(label, f"{seed}"), label)
        goal = spin_goal(part, make_sample(part, CUTOFFS))
        draws = goal.sample.draw(1000, np.random.default_rng(seed))
        found.append(float((draws.weight * draws.target.abs()).mean()))
    assert np.mean(found) == pytest.approx(exact, abs=4 * np.std(found) / np.sqrt(len(found)) + 1e-3 * exact)


def read_label_of(content: bytes, label: Label) -> Label:
    """The label with few voxels, its moments signed as the whole one's."""
    return replace(decode(content), structure=label.structure, name=label.name)
