"""`rhotem density`: what cannot be delivered is refused before a source runs."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli import main
from rhotem.core import PeriodicGrid


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main.app, ["density", *map(str, arguments)])
    return result.exit_code, result.stderr


@pytest.fixture
def no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any source that is made is a failure: GPAW would take minutes."""
    import rhotem.density.source

    def made(name: str, **options: object) -> None:
        pytest.fail(f"source {name} was made")

    monkeypatch.setattr(rhotem.density.source, "get_source", made)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["LiF", "-o", "rho.dat"], "unknown density format"),
        (["LiF", "-o", "rho.gpw", "--source", "gpaw"], "cannot be written"),
        (["LiCoO2", "-o", "rho.cube", "--kind", "spin", "--source", "free-atoms"], "free-atoms gives no spin density"),
        (["LiF", "-o", "rho.cube", "--kind", "spin", "--source", "gpaw"], "without spin: it has no magnetic element"),
    ],
)
def test_refused_before_the_source_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_source: None, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, err = invoke(*arguments)
    assert code == 2 and words in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_magnetic_crystal_may_have_spin(no_source: None, tmp_path: Path) -> None:
    """LiCoO2 in GPAW is spin-polarised (Co): then the source is made."""
    with pytest.raises(pytest.fail.Exception, match="source gpaw was made"):
        invoke("LiCoO2", "-o", tmp_path / "a.npz", "--kind", "spin", "--source", "gpaw")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny networks with random weights: ``with`` and ``without`` a spin head."""
    from rhotem.learned.settings import ModelSettings, NequipSettings
    from rhotem.training.checkpoint import save_model
    from rhotem.training.network.model import make_model

    folder = tmp_path_factory.mktemp("weights")
    small = NequipSettings(channels=4, scalars=8, embedding=4, radial_width=8, layers=1)
    for name, spin in (("with", True), ("without", False)):
        settings = ModelSettings(nequip=small, elements=[3, 8, 28], spin=spin, spin_elements=[28])
        save_model(folder / f"{name}.safetensors", make_model(settings, seed=1))
    return folder


def test_spin_of_a_network(weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.npz"
    arguments = ["LiNiO2", "-o", target, "--kind", "spin", "--spacing", 0.3]
    code, err = invoke(*arguments, "--source", weights / "with.safetensors")
    assert code == 0, err
    with np.load(target) as data:
        cell, values = data["cell"], data[next(n for n in data.files if data[n].ndim == 3)]
    assert abs(PeriodicGrid(cell, values.shape).integrate(values)) > 1e-3
    code, err = invoke(*arguments, "--source", weights / "without.safetensors")
    assert code == 2 and "no spin density" in err and err.count("\n") == 1


def test_weights_say_that_they_have_spin(weights: Path) -> None:
    for name, expected in (("with", True), ("without", False)):
        result = CliRunner().invoke(main.app, ["model", "info", str(weights / f"{name}.safetensors")])
        assert ("spin density, moments of Ni" in result.stdout) == expected
