"""--memory reaches the learned density, which says what it will do; other sources have no use for it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rhotem.analysis.sources import memory_options
from rhotem.cli import main

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with random weights."""
    from rhotem.learned.settings import ModelSettings, NequipSettings
    from rhotem.training.checkpoint import save_model
    from rhotem.training.network.model import make_model

    target = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    small = NequipSettings(channels=4, scalars=8, embedding=4, radial_width=8, layers=1)
    save_model(target, make_model(ModelSettings(nequip=small, elements=[3, 9])), {"name": "tiny"})
    return target


def test_only_the_learned_density_is_told(weights: Path, tmp_path: Path) -> None:
    cube = tmp_path / "rho.cube"
    cube.touch()
    assert memory_options("model", 10) == {"memory": 10, "announce": None}
    for source in (f"model:{weights}", str(weights)):
        assert memory_options(source, 10)["memory"] == 10
    for source in ("free-atoms", "gpaw", str(cube)):
        assert memory_options(source, 10) == {}
    assert memory_options("model", None) == {}


def test_the_plan_is_printed_before_and_too_little_is_refused(weights: Path, tmp_path: Path) -> None:
    command = ["density", "LiF", "--spacing", "0.3", "--source", str(weights), "-o", str(tmp_path / "rho.cube")]
    done = CliRunner().invoke(main.app, [*command, "--memory", "2GB"])
    assert done.exit_code == 0
    assert "learned density: 8 atoms, 2 kinds" in done.stderr and "learned density" not in done.stdout
    refused = CliRunner().invoke(main.app, [*command, "--memory", "10MB"])
    assert refused.exit_code != 0 and "0.01 GB allowed" in refused.stderr
