"""`rhotem density`: what cannot be delivered is refused before a source runs."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rhotem.cli import main


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
        (["LiCoO2", "-o", "rho.cube", "--kind", "spin", "--source", "model"], "model gives no spin density"),
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
