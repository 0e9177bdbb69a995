"""Training on small made-up labels: it learns, resumes bit for bit, and refuses what cannot be."""

import json
import shutil

import numpy as np
import pytest
import torch

from rhotem.core import InputError
from rhotem.learned.model import LearnedModel, load_model
from rhotem.learned.relatives import relatives
from rhotem.learned.settings import ModelSettings
from rhotem.training.checkpoint import as_learned, load_network, load_tensors
from rhotem.training.config import Config, read_config
from rhotem.training.dataset import read_label, read_labels
from rhotem.training.log import WATCHED, append
from rhotem.training.network.encoders.sevennet import published
from rhotem.training.shares import drawn_shares
from rhotem.training.split import Split, split
from rhotem.training.trainer import Trainer


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Two atoms in a box; electrons go from one Gaussian to another, the more the nearer the atoms are."""
    folder = tmp_path_factory.mktemp("labels")
    for index, distance in enumerate((1.6, 1.8, 2.0, 2.2)):
        cell, shape = np.diag([4.0, 4.2, 4.4]), (20, 20, 22)
        axes = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), -1)
        positions = np.array([[1.0, 2.0, 2.0], [1.0 + distance, 2.0, 2.0]])
        gaussians = []
        for p in positions @ np.linalg.inv(cell):
            d = axes - p
            r2 = (((d - np.rint(d)) @ cell) ** 2).sum(-1)
            gaussians.append(np.exp(-0.5 * r2 / 0.5**2))
        values = (gaussians[1] / gaussians[1].sum() - gaussians[0] / gaussians[0].sum()) * 800.0 / distance**2
        meta = {"family": "pair", "spinpol": False}
        np.savez(
            folder / f"{index}.npz",
            numbers=[3, 8 if index < 3 else 9],
            positions=positions,
            cell=cell,
            deformation=values.astype(np.float16),
            meta=json.dumps(meta),
        )
    return folder


def config(labels, out, steps=40, **train) -> Config:
    return Config.model_validate(
        {
            "name": "tiny",
            "out": str(out),
            "data": {"labels": [str(labels)], "test_parents": ["pair FLi"], "points": 200},
            "train": {
                "steps": steps, "structures_per_step": 2, "evaluate_every": 20, "save_every": 10, "warmup": 5,
                "learning_rate": 1e-2, "ema": 0.9, "device": "cpu", **train,
            },
            "model": {
                "nequip": {"channels": 4, "scalars": 8, "embedding": 4, "radial_width": 8, "layers": 1},
                "members": 2,
            },
        }
    )  # fmt: skip


def test_it_learns_and_writes_everything(labels, tmp_path):
    trainer = Trainer(config(labels, tmp_path / "run", steps=60))
    first = trainer.train_step()[1]
    info = trainer.run()
    last = np.mean([trainer.train_step()[1] for _ in range(3)])
    assert first > 0.8 and last < 0.5 * first
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert {"config.json", "log.csv", "model.safetensors", "model.json", "results.json", "learning-curve.png"} <= names
    assert info["accuracy"]["family"]["structures"] == 1
    assert load_model(tmp_path / "run")[0].settings.elements == [3, 8]


GATED = {"readout": "gated", "members": 2, "gated": {"channels": 4, "width": 8, "radial_width": 8, "functions": 8}}


def test_a_readout_is_trained_on_the_encoder_of_another_model(labels, tmp_path):
    """The encoder is that model's at the first step; two members of a readout without functions learn, each its own."""
    Trainer(config(labels, tmp_path / "old", steps=20)).run()
    settings = config(labels, tmp_path / "new", steps=60, encoder=str(tmp_path / "old"))
    settings.model = ModelSettings(**GATED)
    trainer = Trainer(settings)
    before = load_tensors(tmp_path / "old" / "model.safetensors")
    own = {name: t for name, t in trainer.model.state_dict().items() if name.startswith("encoder.")}
    rows = {name: [3, 8] if len(t) == 119 else slice(None) for name, t in own.items() if t.ndim}  # elements of it
    assert len(rows) > 5 and all(torch.equal(own[name][r], before[name][r]) for name, r in rows.items())
    watched = trainer.watched["family"][0]
    first = watched.measure(trainer.model, trainer.device)[0]
    trainer.run()
    assert watched.measure(trainer.average, trainer.device)[0] < 0.7 * first
    ready, label = load_model(tmp_path / "new")[0], read_label(labels / "3.npz")
    assert ready.settings.members == 2 and ready.settings.nequip == load_model(tmp_path / "old")[0].settings.nequip
    each = [as_single(ready, n).readout for n in range(2)]
    alone = [r.at_points(r.prepare(label.structure), label.structure, np.ones((1, 3)))[0] for r in each]
    assert alone[0] != alone[1]


def as_single(model: LearnedModel, member: int) -> LearnedModel:
    """One member of an ensemble as a model."""
    arrays = dict(model.weights.arrays)
    if member:
        arrays |= {
            f"readout.{n.split('.', 2)[2]}": a for n, a in arrays.items() if n.startswith(f"others.{member - 1}.")
        }
    arrays = {name: a for name, a in arrays.items() if not name.startswith("others.")}
    return LearnedModel(model.settings.model_copy(update={"members": 1}), arrays)


def test_an_encoder_and_a_start_are_one_too_many(labels, tmp_path):
    Trainer(config(labels, tmp_path / "old", steps=20)).run()
    with pytest.raises(InputError, match="give one of the two"):
        Trainer(config(labels, tmp_path / "new", encoder=str(tmp_path / "old"), start=str(tmp_path / "old")))


def test_new_elements_start_where_they_were_predicted(labels, tmp_path):
    """Rows that nothing had touched are those of the relatives at the first step, then trained; others stay."""
    Trainer(config(labels, tmp_path / "old", steps=20)).run()
    settings = config(labels, tmp_path / "new", start=str(tmp_path / "old"))
    settings.data.test_parents = ["pair LiO"]  # now fluorine is trained on
    trainer = Trainer(settings)
    assert trainer.model.settings.elements == [3, 8, 9]
    before = load_tensors(tmp_path / "old" / "model.safetensors")
    tables = {name: t for name, t in trainer.model.state_dict().items() if t.is_floating_point() and len(t) == 119}
    assert len(tables) == 3  # an embedding, scales of two members
    start = {name: t.clone() for name, t in tables.items()}
    weights = torch.from_numpy(relatives(9, [3, 8])).float()
    for name, table in start.items():
        torch.testing.assert_close(table[9], torch.tensordot(weights, before[name][[3, 8]], 1))
        assert (table[[3, 8]] == before[name][[3, 8]]).all()
    structure = read_label(labels / "3.npz").structure
    models = as_learned(trainer.model), load_model(tmp_path / "old")[0]
    models[1].newcomers = None  # nothing left free
    for own, zero_shot in zip(*(model.readout.prepare(structure) for model in models), strict=True):
        np.testing.assert_allclose(own, zero_shot, atol=1e-5)
    trainer.train_step()
    trained = trainer.model.state_dict()
    assert any((trained[name][9] != table[9]).any() for name, table in start.items())
    assert all((trained[name][26] == table[26]).all() for name, table in start.items())


def test_every_part_that_is_held_out_has_columns_in_the_log(labels, tmp_path):
    given = read_labels([labels])
    parts = Split(given, *(given[:1] for _ in range(5)), [], given[:1])  # type: ignore[arg-type]
    assert set(parts.held_out) == set(WATCHED)
    append(tmp_path, {f"{part}_deformation_error": 0.5 for part in parts.held_out})


def test_labels_of_rare_elements_are_drawn_more_often():
    shares = drawn_shares([np.array(n) for n in ([3, 8], [3, 8, 8], [3, 8], [3, 8], [38, 8])], 0.5)
    np.testing.assert_allclose(shares, np.array([0.5, 0.5, 0.5, 0.5, 1.0]) / 3.0)


def test_stopped_and_continued_is_the_same_bit_for_bit(labels, tmp_path):
    Trainer(config(labels, tmp_path / "whole", steps=24)).run()
    Trainer(config(labels, tmp_path / "parts", steps=24)).run(until=10)
    Trainer(config(labels, tmp_path / "parts", steps=24)).run()
    whole, parts = (load_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all((whole[name] == parts[name]).all() for name in whole)


def test_another_configuration_does_not_continue(labels, tmp_path):
    Trainer(config(labels, tmp_path / "run", steps=24)).run(until=10)
    with pytest.raises(InputError, match="another configuration"):
        Trainer(config(labels, tmp_path / "run", steps=24, learning_rate=2e-2))


def test_members_grow_from_a_model_to_start_from(labels, tmp_path):
    first = config(labels, tmp_path / "first", steps=30)
    first.model.members = 1
    Trainer(first).run()
    second = config(labels, tmp_path / "second", steps=20, start=str(tmp_path / "first"))
    second.model.members = 3
    trainer = Trainer(second)
    assert len(trainer.model.others) == 2
    before = [p.detach().clone() for p in trainer.model.others[1].parameters()]
    assert all((a == b).all() for a, b in zip(before, trainer.model.readout.parameters(), strict=True))
    assert trainer.train_step()[1] < 0.8
    trainer.run()
    known, header = load_network(tmp_path / "second")
    assert known.settings.members == 3
    assert header["info"]["steps"] == 50  # of both
    own = [m.scalar.weight for m in (known.readout, *known.others)]
    assert not (own[0] == own[1]).all()


def tuned(labels, out, **train) -> Config:
    """Two layers of SevenNet-0, trained as well."""
    settings = config(labels, out, encoder_rate=0.1, feature_dropout=0.1, **train)
    settings.model.encoder = "sevennet"
    settings.model.sevennet.name, settings.model.sevennet.layers = "sevennet-0", 2
    settings.model.nequip.lmax_sent = 1
    return settings


def test_pretrained_layers_are_trained_slowly_saved_and_continued_bit_for_bit(labels, tmp_path):
    Trainer(tuned(labels, tmp_path / "whole", steps=8)).run()
    Trainer(tuned(labels, tmp_path / "parts", steps=8)).run(until=3)
    Trainer(tuned(labels, tmp_path / "parts", steps=8)).run()
    whole, parts = (load_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all((whole[name] == parts[name]).all() for name in whole)
    before = published("sevennet-0")
    moved = {k: (whole[f"encoder.body.{k}"] - before[k]).abs().max() for k in before if f"encoder.body.{k}" in whole}
    # Adam moves a weight by no more than about its learning rate per step
    assert 1e-5 < max(moved.values()) < 8 * 1e-2 * 0.1
    assert moved["layers.0.connect.0"] > 0 and moved["embedding"] > 0
    assert moved["layers.1.denominator"] == moved["frequencies"] == 0
    model = load_network(tmp_path / "whole")[0]
    assert (model.encoder.body.embedding == whole["encoder.body.embedding"]).all()


def test_only_pretrained_layers_have_a_rate(labels, tmp_path):
    with pytest.raises(InputError, match="encoder_rate"):
        Trainer(config(labels, tmp_path, encoder_rate=0.1))


def test_parents_never_appear_on_both_sides(labels, tmp_path):
    parts = split(read_labels([labels]), config(labels, tmp_path).data, seed=0)
    assert {label.parent for label in parts.train}.isdisjoint({label.parent for label in parts.family})
    assert len(parts.train) == 3 and len(parts.family) == 1


def test_labels_that_cannot_be(labels, tmp_path):
    with np.load(labels / "0.npz") as data:
        fields = dict(data)
    fields["deformation"] = fields["deformation"].copy()
    fields["deformation"][0, 0, 0] = np.nan
    np.savez(tmp_path / "nan.npz", **fields)
    with pytest.raises(InputError, match="NaN"):
        read_label(tmp_path / "nan.npz")
    (tmp_path / "cut.npz").write_bytes((labels / "0.npz").read_bytes()[:500])
    with pytest.raises(InputError, match="not a readable label file"):
        read_label(tmp_path / "cut.npz")
    with pytest.raises(InputError, match="not there"):
        read_labels([tmp_path / "nothing"])


def test_checkpoints_that_cannot_be(labels, tmp_path):
    Trainer(config(labels, tmp_path / "run", steps=2)).run()
    good = tmp_path / "run"

    def broken(name: str) -> tuple:
        folder = shutil.copytree(good, tmp_path / name)
        return folder, json.loads((folder / "model.json").read_text())

    folder, header = broken("newer")
    (folder / "model.json").write_text(json.dumps({**header, "format_version": 99}))
    with pytest.raises(InputError, match="format version 99"):
        load_model(folder)
    folder, header = broken("unknown")
    header["settings"]["readout"] = "oracle"
    (folder / "model.json").write_text(json.dumps(header))
    with pytest.raises(InputError, match="architecture"):
        load_model(folder)
    folder, _ = broken("truncated")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="truncated"):
        load_model(folder)
    with pytest.raises(InputError, match="neither a file"):
        load_model("no-such-model")


def test_configs_that_cannot_be(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('name = "x"\nout = "o"\n[data]\nlabels = ["l"]\n[train]\nsteps = -1\n')
    with pytest.raises(InputError, match=r"train\.steps"):
        read_config(path)
    path.write_text("name = ")
    with pytest.raises(InputError, match="not TOML"):
        read_config(path)
