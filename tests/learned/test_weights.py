"""Weights are read by name or refused in one line; what is missing is said."""

import json
import shutil
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from rhotem.core import InputError, MissingDependencyError
from rhotem.core import packages as core_packages
from rhotem.learned import architectures, weights
from rhotem.learned.architectures import Architecture
from rhotem.learned.model import load_model
from rhotem.learned.settings import ModelSettings
from rhotem.learned.weights import SHIPPED, find_model, installed_models


@pytest.fixture
def copied(tmp_path):
    """Shipped weights and what changes their JSON."""
    for ending in ("safetensors", "json"):
        shutil.copy(find_model("fast").with_suffix(f".{ending}"), tmp_path / f"m.{ending}")

    def change(**settings):
        side = tmp_path / "m.json"
        header = json.loads(side.read_text())
        header["settings"].update(settings)
        header.update({k: settings.pop(k) for k in list(settings) if k in ("format", "format_version")})
        side.write_text(json.dumps(header))
        return tmp_path / "m.safetensors"

    return change


def refused(path, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_weights_of_0_1_are_read_and_those_of_another_target_refused_by_name(copied):
    assert load_model(copied(target="deformation"))[0].settings.members == 8
    refused(copied(target="density"), "target")


def test_unknown_settings_architectures_and_formats(copied):
    refused(copied(readout="thought"), "thought")


def test_unknown_settings(copied):
    refused(copied(depth=3), "depth")


def test_newer_formats(copied):
    refused(copied(format_version=99), "format version 99")


NEAR = {"narrowest": 0.1, "widest": 0.8, "functions": 3, "lmax": 4, "cutoff": 2.2}


@pytest.mark.parametrize(
    "changed",
    [{"spherical": {"near": NEAR}}, {"members": 2}, {"spin": True}, {"encoder": "sevennet"}, {"nequip": {"layers": 3}}],
    ids=str,
)
def test_weights_that_do_not_fit_their_settings(copied, changed):
    refused(copied(**changed), "do not fit")


def test_truncated_files(copied):
    path = copied()
    path.write_bytes(path.read_bytes()[:1000])
    refused(path, "truncated")


def test_names(tmp_path):
    assert find_model("default").parent == SHIPPED
    with pytest.raises(InputError, match="default, fast"):
        find_model("no-such-model")


def test_weights_of_other_packages(tmp_path, monkeypatch, copied):
    """A package names its folder in the group rhotem.weights; without rhotem-data it is said where fast weights are."""
    entry = EntryPoint("mine", "mine_weights:FOLDER", "rhotem.weights")
    monkeypatch.setitem(sys.modules, "mine_weights", SimpleNamespace(FOLDER=tmp_path))
    monkeypatch.setattr(weights, "registered", lambda group: {entry.name: entry})
    assert find_model("m") == copied()
    assert list(installed_models()) == ["default", "m"]
    with pytest.raises(InputError, match=r"there are: default, m\).*rhotem-data"):
        find_model("fast")


def test_a_readout_that_needs_more_says_what_to_install(copied, monkeypatch):
    path = copied(peer={"architecture": "deepdft-schnet"}, members=1)
    monkeypatch.setattr(core_packages, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"peer: needs torch.*rhotem\[training\]"):
        load_model(path)


def test_settings_ask_what_an_architecture_can():
    with pytest.raises(ValueError, match="unknown setting"):
        ModelSettings(spericle={})
    with pytest.raises(ValueError, match=r"gated\.wdth: Extra"):
        ModelSettings(readout="gated", gated={"wdth": 3})
    can = ModelSettings().architecture
    assert can.linear and can.planes and can.tiles and can.members and can.spin and can.charge


def test_a_new_architecture_is_one_file(tmp_path, monkeypatch, copied):
    """Registered, it is found by name, read with its settings, and predicts."""
    (tmp_path / "constant.py").write_text(
        "from pydantic import BaseModel\n"
        "import numpy as np\n"
        "from rhotem.learned.architectures import Architecture\n"
        "from rhotem.learned.readouts.base import Evaluated, Single\n"
        "class Settings(BaseModel):\n    level: float = 0.0\n"
        "class Constant(Single):\n"
        "    blocks, cutoff, receptive_field, spacing = (), 0.0, 0.0, 0.5\n"
        "    def __init__(self, model): self.level = model.settings.section('constant').level\n"
        "    def prepare(self, structure, memory=None, announce=None, *, reach=0.0): return ()\n"
        "    def evaluate(self, prepared, structure, grid):\n"
        "        return Evaluated(np.full(grid.shape, self.level), ())\n"
        "ARCHITECTURE = Architecture('constant', 'constant:Settings', 'constant:Constant', '')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    class Entry:
        @staticmethod
        def load() -> Architecture:
            import constant

            return constant.ARCHITECTURE

    known = architectures.registered(architectures.GROUP)
    monkeypatch.setattr(architectures, "registered", lambda group: {**known, "constant": Entry})
    from rhotem.core import PeriodicGrid
    from rhotem.learned.source import Model
    from rhotem.structure.phases import phase

    crystal = phase("LiF")
    path = copied(readout="constant", constant={"level": 0.25}, members=1)
    field = Model(str(path), positive="off", novelty=False)(crystal, PeriodicGrid.from_spacing(crystal.cell, 0.6))
    assert (field.values == 0.25).all()
