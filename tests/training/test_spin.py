"""The magnetisation: odd in the moments, even charge; symmetries, counts, training on made-up labels."""

import json

import ase
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.charges import hirshfeld_charges
from rhotem.density.field import DensityField
from rhotem.learned.calibration import Calibration, load_calibration, save_calibration
from rhotem.learned.model import load_model
from rhotem.learned.novelty import NoveltyBank
from rhotem.learned.settings import ModelSettings, NequipSettings
from rhotem.learned.source import Model
from rhotem.learned.spin import magnetisation, spin_coefficients
from rhotem.learned.weights import fingerprint
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_learned, load_tensors, save_model
from rhotem.training.config import Config
from rhotem.training.dataset import make_probes, read_label
from rhotem.training.evaluate import evaluate
from rhotem.training.network.model import DensityModel, make_model
from rhotem.training.network.predict import prepared
from rhotem.training.trainer import Trainer

CELL = np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]])
SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [0.52, 0.07, 0.46], [0.5, 0.5, 0.52]])
NUMBERS = [25, 8, 3, 8, 25]
SMALL = NequipSettings(channels=6, scalars=12, embedding=4, radial_width=8, layers=1)


def crystal(moments: list[float] | None = None, numbers: list[int] = NUMBERS) -> Structure:
    given = None if moments is None else np.array(moments)
    return Structure(ase.Atoms(numbers, SITES @ CELL, cell=CELL, pbc=True), moments=given)


def make(spin: bool = True) -> DensityModel:
    settings = ModelSettings(nequip=SMALL, elements=[3, 8, 13, 25], spin=spin, spin_elements=[25])
    return make_model(settings, seed=3).double().eval()


def at(model: DensityModel, s: Structure, points: np.ndarray) -> np.ndarray:
    from rhotem.learned.spin import moment_signs

    found = spin_coefficients(as_learned(model), s, moment_signs(s))
    coefficients = tuple(torch.from_numpy(c) for c in found)
    probes = make_probes(points, s, *model.cutoffs[1:]).to("cpu", torch.float64)
    with torch.no_grad():
        return model.spin.at_points(coefficients, probes).numpy()


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).random((50, 3)) @ CELL


def test_all_moments_turned_over_turn_it_over_exactly(points):
    model = make()
    for signs in ([1, 0, 0, 0, 1], [1, 0, 0, 0, -1], [2.5, 0, 0.1, 0, -4]):
        model.settings.spin_elements = [3, 25]
        up, down = (at(model, crystal([f * m for m in signs]), points) for f in (1.0, -1.0))
        assert np.abs(up).max() > 1e-3
        np.testing.assert_array_equal(up, -down)


def test_the_charge_does_not_see_the_moments():
    model = make()
    a, b = (prepared(model, crystal(m)) for m in ([1, 0, 0, 0, 1], [-1, 0, 0, 0, 1]))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    # and it is that of the same weights without a spin head
    without = make(spin=False)
    without.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("spin.")})
    assert all((x == y).all() for x, y in zip(a, prepared(without, crystal()), strict=True))


def test_without_moments_there_is_none(points):
    model = make()
    for s in (crystal([0.0] * 5), crystal(numbers=[13, 8, 3, 8, 13])):
        assert (at(model, s, points) == 0.0).all()


def test_not_given_is_all_up_and_an_antiferromagnet_is_another(points):
    model = make()
    default, up, mixed = (at(model, crystal(m), points) for m in (None, [3.8, 0, 0, 0, 3.8], [1, 0, 0, 0, -1]))
    np.testing.assert_array_equal(default, up)
    assert np.abs(default - mixed).max() > 0.05 * np.abs(default).max()


def test_atoms_without_a_moment_are_polarised_by_their_neighbours():
    """Oxygen between two magnetic atoms: a sum over neighbours; between opposite ones even l vanish."""
    model = make()
    sites = np.array([[0, 0, 0], [2.0, 0, 0], [-2.0, 0, 0]]) + 8.0
    atoms = ase.Atoms([8, 25, 25], sites, cell=np.eye(3) * 16.0, pbc=True)
    same, opposite = (
        spin_coefficients(as_learned(model), Structure(atoms), np.array([0.0, 1.0, s]))[0][0] for s in (1.0, -1.0)
    )
    odd = np.array([l % 2 == 1 for l in range(5) for _ in range(2 * l + 1)])
    assert np.abs(same[:, ~odd]).max() > 1e-4 and np.abs(opposite[:, odd]).max() > 1e-4
    # coefficients reach 2e4, so that the rounding of a sum is some 1e-12; which way it goes depends on the processor
    np.testing.assert_allclose(same[:, odd], 0.0, atol=1e-13 * np.abs(same).max())
    np.testing.assert_allclose(opposite[:, ~odd], 0.0, atol=1e-13 * np.abs(opposite).max())


def test_symmetries(points):
    model, s = make(), crystal([1, 0, 0, 0, -1])
    reference = at(model, s, points)
    for matrix in (Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix(), -np.eye(3), np.diag([1.0, 1.0, -1.0])):
        atoms = ase.Atoms(NUMBERS, s.positions @ matrix.T, cell=CELL @ matrix.T, pbc=True)
        turned = at(model, Structure(atoms, moments=s.moments), points @ matrix.T)
        # vectors to the points are kept in single precision
        np.testing.assert_allclose(turned, reference, atol=3e-6)
    order = [4, 2, 0, 3, 1]
    np.testing.assert_allclose(
        at(model, Structure(s.atoms[order], moments=s.moments[order]), points), reference, atol=1e-9
    )
    big = Structure(s.atoms.repeat((2, 1, 1)), moments=np.tile(s.moments, 2))
    np.testing.assert_allclose(at(model, big, points + CELL[0]), reference, atol=3e-6)


def test_a_moment_far_away_comes_in_smoothly():
    model, cell, point = make(), np.eye(3) * 30.0, np.array([[0.5, 0.4, 0.3]])

    def value(distance: float) -> float:
        atoms = ase.Atoms([8, 25], [[0, 0, 0], [distance, 0, 0]], cell=cell, pbc=True)
        return float(at(model, Structure(atoms), point)[0])

    cutoff = model.encoder.cutoff
    assert abs(value(cutoff - 1e-4)) < 1e-6 and value(cutoff + 1e-4) == 0.0
    assert abs(value(cutoff - 2.0)) > 1e-6


@pytest.mark.parametrize("shape", [(16, 17, 18), (33, 40, 36)])
def test_sum_over_a_grid_is_the_moment_of_the_functions(shape):
    model, grid = make(), PeriodicGrid(CELL, shape)
    values, record = magnetisation(as_learned(model), crystal(), grid)
    assert abs(record["total_moment_muB"]) > 0.01
    assert grid.integrate(values) == pytest.approx(record["total_moment_muB"], abs=1e-9)
    assert sum(record["moment_by_atom_muB"]) == pytest.approx(record["total_moment_muB"], abs=1e-9)
    assert record["starting_signs"] == [1, 0, 0, 0, 1] and "ferromagnetic" in record["starting_moments"]
    fine = grid.points().reshape(-1, 3)[:: max(1, grid.size // 300)]
    direct = at(model, crystal(), fine)
    assert np.abs(values.reshape(-1)[:: max(1, grid.size // 300)] - direct).max() < 0.05 * np.abs(direct).max()


def test_as_a_source(tmp_path):
    grid = PeriodicGrid(CELL, (16, 17, 18))
    for name, model in (("with", make()), ("without", make(spin=False))):
        save_model(tmp_path / f"{name}.safetensors", model.float(), {"name": name})
    field = Model(str(tmp_path / "with.safetensors"), spin=True)(crystal(), grid)
    assert field.kind == "deformation" and field.spin.shape == grid.shape
    assert grid.integrate(field.spin) == pytest.approx(field.record["spin"]["total_moment_muB"], abs=1e-6)
    assert Model(str(tmp_path / "with.safetensors"))(crystal(), grid).spin is None
    with pytest.raises(InputError, match=r"no spin density.*spin\.toml"):
        Model(str(tmp_path / "without.safetensors"), spin=True)
    with pytest.raises(InputError, match="moments of Li"):
        Model(str(tmp_path / "with.safetensors"), spin=True)(crystal([0, 0, 1, 0, 0]), grid)


# -- training ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Mn and O in a box: 4 µB in a Gaussian on Mn, −0.4 µB on O; one is turned over; one without a magnetic atom."""
    folder = tmp_path_factory.mktemp("labels")
    cell, shape = np.diag([4.0, 4.2, 4.4]), (20, 20, 22)
    axes = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), -1)
    for index, distance in enumerate((1.8, 1.9, 2.0, 2.1, 1.95)):
        positions = np.array([[1.0, 2.0, 2.0], [1.0 + distance, 2.0, 2.0]])
        gaussians = []
        for p in positions @ np.linalg.inv(cell):
            d = axes - p
            gaussian = np.exp(-0.5 * (((d - np.rint(d)) @ cell) ** 2).sum(-1) / 0.45**2)
            gaussians.append(gaussian / (gaussian.sum() * cell.diagonal().prod() / axes[..., 0].size))
        sign = -1.0 if index == 2 else 1.0
        spin = {
            "magnetization": (sign * (4.0 * gaussians[0] - 0.4 * gaussians[1])).astype(np.float16),
            "magmoms": np.array([4.0, -0.4]) * sign,
        }
        np.savez(
            folder / f"{index}.npz",
            numbers=[25 if index < 4 else 13, 8],
            positions=positions,
            cell=cell,
            deformation=(0.5 * (gaussians[1] - gaussians[0])).astype(np.float16),
            meta=json.dumps({"family": "pair", "magmom": 3.6 * sign} if index < 4 else {"family": "other"}),
            **(spin if index < 4 else {}),
        )
    return folder


def config(labels, out, **train) -> Config:
    return Config.model_validate(
        {
            "name": "tiny",
            "out": str(out),
            "data": {"labels": [str(labels)], "test_fraction": 0.0, "points": 200},
            "train": {
                "steps": 40, "structures_per_step": 2, "evaluate_every": 20, "save_every": 10, "warmup": 5,
                "learning_rate": 1e-2, "ema": 0.9, "device": "cpu", **train,
            },
            "model": {"nequip": SMALL.model_dump(), "spin": True},
        }
    )  # fmt: skip


def test_labels_say_which_way_moments_point(labels):
    up, down, none = (read_label(labels / f"{i}.npz") for i in (0, 2, 4))
    assert up.structure.moments is None and none.magnetization is None
    assert np.sign(down.structure.moments).tolist() == [-1, 0] and down.moment == pytest.approx(-3.6)
    treated = down.treated_magnetization
    assert down.grid.integrate(treated) == pytest.approx(-3.6, abs=1e-6)
    shares = -hirshfeld_charges(DensityField("deformation", down.structure, down.grid, treated))
    assert shares[0] == pytest.approx(-4.0, abs=0.4) and shares[1] == pytest.approx(0.4, abs=0.4)


def test_a_head_is_learned_beside_the_density(labels, tmp_path):
    trainer = Trainer(config(labels, tmp_path / "run", steps=60, spin_weight=1.0))
    assert len(trainer.samples) == 5 and len(trainer.spin.goals) == 4
    first = trainer.train_step()
    info = trainer.run()
    last = np.mean([trainer.train_step()[1:4] for _ in range(4)], axis=0)
    assert last[0] < 0.7 * first[1] and last[2] < 0.5 * first[3]
    assert "spin" in info
    model = load_model(tmp_path / "run")[0]
    assert model.settings.spin_elements == [25]
    label = read_label(labels / "2.npz")
    _, record = magnetisation(model, label.structure, label.grid)
    assert record["total_moment_muB"] == pytest.approx(-3.6, abs=1.0)


def test_evaluation_counts_what_is_magnetic(labels):
    """A network that draws no magnetisation has an error of 1 and misses all of the moments."""
    model = make().float()
    with torch.no_grad():
        for p in model.spin.parameters():
            p.zero_()
        model.spin.log_scale.fill_(-30.0)
    found = evaluate(as_learned(model), [read_label(labels / f"{i}.npz") for i in (0, 2, 4)])["spin"]
    assert (found["overall"]["structures"], found["overall"]["magnetic"]) == (2, 2)
    assert found["overall"]["spin_error"] == pytest.approx(1.0, abs=1e-6)
    assert found["overall"]["total_moment_error_muB"] == pytest.approx(3.6, abs=1e-6)
    assert found["overall"]["moment_error_muB"] == pytest.approx(4.0, abs=0.4)
    assert [row["total_moment_reference_muB"] for row in found["structures"]] == [3.6, -3.6]


def test_a_head_is_added_to_weights_that_stay_bit_for_bit(labels, tmp_path):
    plain = config(labels, tmp_path / "plain", steps=5)
    plain.model.spin = False
    Trainer(plain).run()
    added = {"start": str(tmp_path / "plain"), "only": "spin", "steps": 12}
    manganese, none = np.array([25]), np.zeros((1, 2))
    bank = NoveltyBank(manganese, none, np.eye(2), manganese.copy(), none.copy(), usual=1.0)
    save_calibration(tmp_path / "plain" / "model.safetensors", Calibration(np.arange(7.0), 2.0, 3.0, bank))
    info = Trainer(config(labels, tmp_path / "whole", **added)).run()
    Trainer(config(labels, tmp_path / "parts", **added)).run(until=5)
    Trainer(config(labels, tmp_path / "parts", **added)).run()
    before, whole, parts = (load_tensors(tmp_path / n / "model.safetensors") for n in ("plain", "whole", "parts"))
    assert all((whole[name] == before[name]).all() for name in before)
    assert set(whole) - set(before) and all(n.startswith("spin.") for n in set(whole) - set(before))
    assert all((whole[name] == parts[name]).all() for name in whole)
    assert info["steps"] == 5 and info["name"] == "tiny"
    # error bars belong to the density, which is the same
    assert fingerprint(tmp_path / "whole" / "model.safetensors") == fingerprint(
        tmp_path / "plain" / "model.safetensors"
    )
    assert load_calibration(tmp_path / "whole" / "model.safetensors").potential_factor == 3.0
    header = "".join((tmp_path / "whole" / "log.csv").read_text().splitlines()[:1])
    assert "family_spin_error" in header


def test_runs_that_cannot_be(labels, tmp_path):
    wrong = config(labels, tmp_path / "a", only="spin")
    wrong.model.spin = False
    with pytest.raises(InputError, match=r"only = spin"):
        Trainer(wrong)
    with pytest.raises(ValueError, match="leave spin out"):
        ModelSettings(spin=True, peer={"architecture": "deepdft-schnet"})
