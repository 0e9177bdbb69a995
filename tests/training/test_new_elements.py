"""What is said of elements without labels is what their labels say."""

from pathlib import Path

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.labels.label import Label
from rhotem.labels.read import read_labels
from rhotem.labels.splits import is_test_parent, parent_of, read_split
from rhotem.learned.calibration import load_calibration
from rhotem.learned.model import load_model
from rhotem.learned.weights import find_model
from rhotem.structure.phases import phase
from rhotem.training.error_bars.newcomers import Compound, study, summarise

SHARD = Path(__file__).parents[2] / "data" / "labels" / "shards" / "0003.zip"
#: SrO, which is held out, and a molecule of known elements.
NAMES = ("5350289c6a475dfd", "0a2bc0dc626eaa0e")


def compound(name: str, rng: np.random.Generator, *, scale: float = 1.0, error: float = 0.4) -> Compound:
    """Errors that are Gaussian in units of the half-width times ``scale``."""
    label = Label.of_field(phase(name), np.zeros((2, 2, 2)), name)
    voxels, waves = (np.abs(rng.normal(0.0, scale, n)) for n in (4000, 300))
    return Compound(label, error, error**2, {38: error}, voxels, waves)


def test_intervals_are_widened_until_they_hold():
    """Ninety per cent of a Gaussian are within 1.645 σ; of any compound left out, too, as all are alike."""
    rng = np.random.default_rng(0)
    found = summarise([compound(name, rng, scale=2.0) for name in ("LiF", "NaF", "Li2O", "TiO2", "Si")])
    assert found.factor == pytest.approx(3.29, rel=0.03) and found.potential_factor == pytest.approx(3.29, rel=0.08)
    assert found.report["voxels"]["coverage"] == pytest.approx(0.9, abs=0.01)


def test_labels_of_one_formula_are_left_out_together_and_count_once():
    rng = np.random.default_rng(1)
    others = [compound(name, rng) for name in ("NaF", "Li2O", "TiO2")]
    many = summarise([*others, *(compound("LiF", rng, scale=100.0) for _ in range(5))])
    one = summarise([*others, compound("LiF", rng, scale=100.0)])
    assert many.factor == pytest.approx(one.factor, rel=0.1)
    assert many.report["voxels"]["by_compound"]["FLi"] < 0.1


def test_means_of_an_element():
    rng = np.random.default_rng(2)
    found = summarise([compound(name, rng, error=e) for name, e in (("LiF", 0.2), ("NaF", 0.4), ("Li2O", 0.6))])
    assert found.errors[38] == pytest.approx(0.4)
    assert found.potential[38] == pytest.approx((0.04 * 0.16 * 0.36) ** (1 / 3))
    assert found.compounds[38] == ("FLi", "FNa", "Li2O")
    with pytest.raises(InputError, match="at least 3"):
        summarise([compound("LiF", rng)])


def test_the_split_of_new_elements_moves_no_old_label_and_shares_no_parent():
    training, shards = SHARD.parents[2] / "training", [SHARD.with_name(f"000{n}.zip") for n in (1, 3, 4, 5, 6)]
    old, new = (read_split(training / f"{name}.json") for name in ("split", "split-elements"))
    assert all(new[part] == names for part, names in old.items() if part != "train")
    assert new["train"][: len(old["train"])] == old["train"]
    fresh = {label.name: parent_of(label.meta) for label in read_labels(shards)}
    added = set(new["train"]) - set(old["train"])
    assert added | set(new["elements"]) == fresh.keys() and not added & set(new["elements"])
    assert {fresh[n] for n in new["elements"]}.isdisjoint(fresh[n] for n in added)
    assert all(is_test_parent(fresh[n]) for n in new["elements"]) and len(new["elements"]) > 20


def test_shipped_numbers_are_those_of_the_labels():
    """Strontium by SrO, which was held out: what is stored is what its label says; around it the error is larger."""
    model, _ = load_model("default")
    shards = [SHARD, SHARD.with_name("0001.zip")]
    found = study(model, load_calibration(find_model("default")), list(read_labels(shards, NAMES)))
    assert [c.label.formula for c in found] == ["OSr"]  # the other one knows all its elements
    stored = model.newcomers.measured
    assert stored.compounds[38] == ("OSr",)
    assert found[0].error < found[0].around[38] < 0.5
    assert stored.errors[38] == pytest.approx(found[0].around[38], abs=1e-3)
    assert stored.untrained.errors[38] > stored.errors[38]  # before it was trained on
    assert stored.report["voxels"]["coverage"] == pytest.approx(0.9, abs=0.02)
    assert model.newcomers is not None and not model.newcomers.among([8, 38]).free
