"""What lies in examples/ works as it stands."""

import runpy
from pathlib import Path

import pytest

import rhotem

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_plans(path: Path) -> None:
    """They can be read, with the structures that they name."""
    plan = rhotem.load_plan(path)
    for _, single in plan.runs():
        assert len(rhotem.read_structure(single.specimen.structure)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_programs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out and (tmp_path / "LiF-images" / "record.json").exists()
    assert rhotem.load_plan("LiF.yaml").specimen.structure == "LiF"
