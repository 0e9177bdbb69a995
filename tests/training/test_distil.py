"""Learning from a model: the distance is one of densities, a student of the same kind reaches it, runs go on."""

import json
import math
from typing import Any

import ase
import numpy as np
import pytest
import torch

from rhotem.core import InputError
from rhotem.density.harmonics import real_harmonics
from rhotem.learned.radial import Block
from rhotem.learned.settings import ModelSettings
from rhotem.structure.model import Structure
from rhotem.training import distil
from rhotem.training.checkpoint import as_learned, load_network, load_tensors, save_model
from rhotem.training.config import Config, DistilSettings, read_config
from rhotem.training.distil import Distillation, Metric, _radii, ask, draw_structures
from rhotem.training.network.model import DensityModel, make_model
from rhotem.training.trainer import Trainer

BLOCKS = (Block(0.05, 0.8, 12, 4, 2.2), Block(0.6, 1.5, 4, 3, 4.0))
SMALL: dict[str, Any] = {
    "nequip": {"channels": 4, "scalars": 16, "embedding": 4, "radial_width": 8, "layers": 1, "lmax": 2},
    "spherical": {
        "near": {"narrowest": 0.2, "widest": 0.6, "functions": 3, "lmax": 2, "cutoff": 2.2},
        "far": {"narrowest": 0.6, "widest": 1.5, "functions": 2, "lmax": 1, "cutoff": 4.0},
        "width": 16,
    },
    "members": 2,
    "elements": [3, 8],
}  # fmt: skip


def pair(distance: float, symbols: str = "LiO") -> Structure:
    """Two atoms in a box."""
    return Structure(ase.Atoms(symbols, [[1, 2, 2], [1 + distance, 2, 2]], cell=[4.0, 4.2, 4.4], pbc=True))


class Pairs:
    """A sampler of pairs: what `rhotem.labels.sampler.draw` returns has `build`."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.distance, self.symbols = rng.uniform(1.5, 2.2), str(rng.choice(["LiO", "Li2", "O2", "HO"]))

    def build(self) -> Structure:
        return pair(self.distance, self.symbols)


@pytest.fixture
def pairs(monkeypatch):
    monkeypatch.setattr(distil, "draw", Pairs)


@pytest.fixture
def teacher(tmp_path):
    """A small random network, its answers larger than those of a fresh one."""
    model = make_model(ModelSettings.model_validate(SMALL), seed=5)
    save_model(tmp_path / "teacher.safetensors", model, {"name": "teacher"})
    return tmp_path / "teacher.safetensors"


def coefficients(seed: int, atoms: int = 3) -> list[torch.Tensor]:
    """Random coefficients of orthonormal functions, as those of the plain ones."""
    rng = np.random.default_rng(seed)
    result = []
    for b in BLOCKS:
        parts = [b.orthonormal(l) @ rng.normal(size=(atoms, b.functions, 2 * l + 1)) * 0.03 for l in range(b.lmax + 1)]
        result.append(torch.from_numpy(np.concatenate(parts, axis=2)))
    return result


def on_sphere(metric: Metric, c: list[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """|δ|² and |δ| of every atom, integrated over directions, at the radii of the metric: no use of overlaps."""
    x, wx = np.polynomial.legendre.leggauss(14)
    phi = np.arange(28) * 2 * math.pi / 28
    s = np.sqrt(1 - x**2)
    directions = np.stack([np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi)), np.outer(x, np.ones(28))], -1)
    weight = np.outer(wx, np.full(28, 2 * math.pi / 28)).ravel()
    y = real_harmonics(directions.reshape(-1, 3), 4).T
    r, _ = _radii(BLOCKS)
    powers = np.array([l for l in range(5) for _ in range(2 * l + 1)])
    total = np.zeros(())
    for b, own in zip(BLOCKS, c, strict=True):
        n = (b.lmax + 1) ** 2
        total = total + np.einsum("anm,nr,mr,md->ard", own, b.radial(r), r ** powers[:n, None], y[:n], optimize=True)
    return (total**2) @ weight, np.abs(total) @ weight


def test_the_distance_is_that_of_the_densities():
    """The quadratic form of the coefficients against the densities themselves, over points in space."""
    metric = Metric(BLOCKS, coefficients(0, 20))
    c = coefficients(1)
    r, w = _radii(BLOCKS)
    squares, absolute = on_sphere(metric, c)
    expected = (squares / metric.size) @ (w * r**2)
    assert metric(c)[0].numpy() == pytest.approx(expected, rel=1e-6)
    assert metric.size == pytest.approx(
        np.sqrt(on_sphere(metric, coefficients(0, 20))[0] / (4 * math.pi)).mean(0) + distil.BETWEEN, rel=1e-6
    )
    # Cauchy–Schwarz: times √∫ρ it bounds Σ|δ|
    bound = np.sqrt(expected * 4 * math.pi * (metric.size @ (w * r**2)))
    assert (absolute @ (w * r**2) <= bound).all()


def test_the_potential_of_a_gaussian():
    """∫|δ(g)|²/g⁴ d³g of one s function, by Simpson's rule on its transform."""
    metric = Metric(BLOCKS, coefficients(0))
    c = [torch.zeros(1, b.functions, (b.lmax + 1) ** 2, dtype=torch.float64) for b in BLOCKS]
    c[1][0, 3, 0] = 1.0
    g = np.linspace(distil.G_MIN, 2.0, 2001)
    from scipy.integrate import simpson

    # ∫ dΩ Y₀₀² = 1
    expected = simpson((BLOCKS[1].transform(g, 0)[3] / g) ** 2, x=g)
    assert float(metric(c)[1]) == pytest.approx(expected, rel=1e-6)


def test_zero_only_for_the_same_density():
    metric = Metric(BLOCKS, coefficients(0))
    same = [torch.zeros_like(c) for c in coefficients(1)]
    assert float(metric(same)[0].max()) == 0.0
    # any change of one orthonormal function by 1e-3 of a typical coefficient is seen
    for index, b in enumerate(BLOCKS):
        for l in range(b.lmax + 1):
            moved = [torch.zeros(b.functions, *c.shape[1:], dtype=torch.float64) for c in same]
            moved[index][:, :, l * l] = 3e-5 * torch.from_numpy(b.orthonormal(l)).T
            assert float(metric(moved)[0].min()) > 0.0


def settings(path, **more) -> DistilSettings:
    return DistilSettings.model_validate({"teacher": str(path), "structures": 24, "structures_per_step": 6, **more})


def test_a_teacher_is_no_distance_from_itself(teacher, tmp_path, pairs):
    student = make_model(ModelSettings.model_validate(SMALL), seed=5)
    lessons = Distillation(settings(teacher), student, [pair(2.1)], set(), tmp_path)
    with torch.no_grad():
        density, potential = lessons.distance(student, lessons.lessons)
    assert density.shape == potential.shape == (3,)
    assert float(density.max()) < 1e-5 and float(potential.max()) < 1e-5
    with torch.no_grad():
        student.others[0].scalar.bias[0] += 0.5
        density, _ = lessons.distance(student, lessons.lessons)
    assert float(density[1]) < 1e-5 < 1e-3 < float(density[0]) < float(density[2])


def test_a_student_of_the_same_kind_reaches_its_teacher(teacher, tmp_path, pairs):
    student = make_model(ModelSettings.model_validate(SMALL), seed=1)
    lessons = Distillation(settings(teacher), student, [], set(), tmp_path)
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(student.parameters(), lr=1e-2)
    before = lessons.measure(student)
    for step in range(150):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 150)
        optimiser.zero_grad()
        lessons.loss(student, rng, 0.3).backward()
        optimiser.step()
    assert before > 0.5 and lessons.measure(student) < 0.1


def test_what_is_drawn_keeps_away_from_what_is_held_out(pairs):
    given = settings("default", structures=30)
    drawn = draw_structures(given, {3, 8}, {"LiO"})
    assert len(drawn) == 30
    assert {s.atoms.get_chemical_formula(mode="hill") for s in drawn} == {"Li2", "O2"}
    again = draw_structures(given, {3, 8}, {"LiO"})
    assert all((a.positions == b.positions).all() for a, b in zip(drawn, again, strict=True))
    with pytest.raises(InputError, match="made 0 of 30"):
        draw_structures(given, {26}, set())


def test_answers_are_asked_for_once(teacher, tmp_path, monkeypatch):
    model = as_learned(make_model(ModelSettings.model_validate(SMALL), seed=5))
    structures = [pair(2.0), pair(1.7)]
    first = ask(model, "weights", structures, tmp_path / "answers")
    expected = model.readout.prepare_members(structures[1])
    assert all((a.numpy() == b).all() for a, b in zip(first[1], expected, strict=True))

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(model.readout, "prepare_members", asked)
    second = ask(model, "weights", structures, tmp_path / "answers")
    assert all((a == b).all() for x, y in zip(first, second, strict=True) for a, b in zip(x, y, strict=True))
    with pytest.raises(AssertionError):
        ask(model, "other weights", structures, tmp_path / "answers")


@pytest.fixture
def labels(tmp_path):
    """Electrons that go from one atom to the other."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for index, (distance, symbols) in enumerate([(1.6, "LiO"), (1.9, "LiO"), (2.0, "LiO"), (1.8, "Li2")]):
        structure = pair(distance, symbols)
        shape = (16, 16, 16)
        axes = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), -1)
        clouds = []
        for p in structure.atoms.get_scaled_positions():
            d = axes - p
            clouds.append(np.exp(-0.5 * (((d - np.rint(d)) @ structure.cell) ** 2).sum(-1) / 0.5**2))
        values = (clouds[1] / clouds[1].sum() - clouds[0] / clouds[0].sum()) * 300.0
        np.savez(
            folder / f"{index}.npz",
            numbers=structure.numbers,
            positions=structure.positions,
            cell=structure.cell,
            deformation=values.astype(np.float16),
            meta=json.dumps({"family": "pair", "spinpol": False}),
        )
    return folder


def config(labels, teacher, out) -> Config:
    return Config.model_validate(
        {
            "name": "student",
            "out": str(out),
            "data": {"labels": [str(labels)], "test_parents": ["pair Li"], "points": 100},
            "distil": {"teacher": str(teacher), "structures": 8, "structures_per_step": 3, "alone": 0.5},
            "train": {"steps": 12, "structures_per_step": 2, "evaluate_every": 4, "save_every": 3, "device": "cpu"},
            "model": {**SMALL, "elements": []},
        }
    )


def test_a_run_goes_on_bit_for_bit_and_says_what_it_did(labels, teacher, tmp_path, pairs):
    info = Trainer(config(labels, teacher, tmp_path / "whole")).run()
    Trainer(config(labels, teacher, tmp_path / "parts")).run(until=4)
    trainer = Trainer(config(labels, teacher, tmp_path / "parts"))
    # held out: the composition Li is not drawn
    assert all(set(x.graph.numbers.tolist()) != {3} for x in trainer.distil.lessons)
    trainer.run()
    whole, parts = (load_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all((whole[name] == parts[name]).all() for name in whole)
    assert info["distilled"]["teacher"] == "teacher" and info["distilled"]["distance"] > 0
    rows = (tmp_path / "whole" / "log.csv").read_text().splitlines()
    first, last = (dict(zip(rows[0].split(","), row.split(","), strict=True)) for row in (rows[1], rows[-1]))
    assert first["voxel_error"] in ("", "nan") and float(last["voxel_error"]) > 0
    assert 0 < float(last["distillation"]) < 2


def test_weights_of_half_the_size_are_the_same_to_their_rounding(tmp_path):
    model = make_model(ModelSettings.model_validate(SMALL), seed=5)
    save_model(tmp_path / "whole", model)
    save_model(tmp_path / "half", model, half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    read = load_network(tmp_path / "half.safetensors")[0].state_dict()
    for name, given in model.state_dict().items():
        assert read[name].dtype == given.dtype
        assert torch.allclose(read[name], given, rtol=5e-4, atol=1e-7)


def test_teachers_that_cannot_be(teacher, tmp_path, pairs):
    def refused(match: str, **changed) -> None:
        student: DensityModel = make_model(ModelSettings.model_validate({**SMALL, **changed}))
        with pytest.raises(InputError, match=match) as caught:
            Distillation(settings(teacher), student, [], set(), tmp_path)
        assert "\n" not in str(caught.value)

    other = {**SMALL["spherical"], "near": {**SMALL["spherical"]["near"], "functions": 4}}
    refused("radial functions are not the teacher's", spherical=other)
    refused("3 members, the teacher 2", members=3)
    refused("spherical readout", readout="gated", gated={"lmax": 2}, members=1)
    with pytest.raises(InputError, match="neither a file"):
        Distillation(settings("nobody"), make_model(ModelSettings.model_validate(SMALL)), [], set(), tmp_path)
    path = tmp_path / "c.toml"
    path.write_text('name = "x"\nout = "o"\n[data]\nlabels = ["l"]\n[distil]\nalone = 2\n')
    with pytest.raises(InputError, match=r"distil\.alone"):
        read_config(path)
