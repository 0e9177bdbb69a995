"""`rhotem model import`."""

import json

import pytest
from typer.testing import CliRunner

from rhotem.cli.model import app
from rhotem.core import InputError
from rhotem.peers.checkpoint import load_peer


def run(*arguments: str):
    return CliRunner().invoke(app, ["import", *arguments], catch_exceptions=False)


def test_import_keeps_the_model_under_its_name(official, tmp_path, monkeypatch):
    monkeypatch.setenv("RHOTEM_MODELS", str(tmp_path / "models"))
    path = official.write(tmp_path / "official", "deepdft-painn")
    result = run(str(path), "--name", "nmc", "--valence", "Li=1,O=6", "--json")
    summary = json.loads(result.stdout)
    assert summary["settings"]["architecture"] == "deepdft-painn" and summary["settings"]["size"] == 128
    assert summary["parameters"] == sum(w.numel() for w in official.state_dict("deepdft-painn").values())
    model, header = load_peer("nmc")
    assert model.settings.interactions == 3 and header["info"]["valence"] == {"Li": 1.0, "O": 6.0}
    assert "--source nmc" in run(str(path.parent), "--name", "nmc").stdout
    listed = CliRunner().invoke(app, ["list"], catch_exceptions=False).stdout
    assert "nmc: deepdft-painn, imported from best_model.pth" in listed and "default" in listed
    told = CliRunner().invoke(app, ["info", "nmc"], catch_exceptions=False).stdout
    assert "nmc: deepdft-painn, interactions 3, size 128, cutoff 4" in told and "reach 16 Å" in told
    assert "Materials Project" in told  # imported again without --valence
    told = json.loads(CliRunner().invoke(app, ["info", "nmc", "--json"], catch_exceptions=False).stdout)
    assert told["parameters"] == summary["parameters"] and told["info"]["imported_from"] == "best_model.pth"


def test_settings_given_by_hand(official, tmp_path, monkeypatch):
    monkeypatch.setenv("RHOTEM_MODELS", str(tmp_path / "models"))
    path = official.write(tmp_path / "official", "deepdft-painn")
    result = run(str(path), "--name", "far", "--set", "cutoff=5", "--json")
    assert json.loads(result.stdout)["settings"]["cutoff"] == 5.0
    with pytest.raises(InputError, match="expected NAME=VALUE"):
        run(str(path), "--name", "far", "--set", "cutoff")
    with pytest.raises(InputError, match="colour"):
        run(str(path), "--name", "far", "--set", "colour=red")
