"""What lies in examples/ works as it stands."""

import json
import runpy
from pathlib import Path

import pytest

import rhotem

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_plans(path: Path) -> None:
    """They can be read, with the structures that they name."""
    plan = rhotem.load_plan(path)
    for _, single in plan.runs():
        assert len(rhotem.read_structure(single.specimen.structure)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_programs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """As `python examples/NAME.py` in an empty folder: it says something and leaves a picture or a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
    assert list(tmp_path.glob("*.png")) or list(tmp_path.glob("*/record.json"))
    for plan in tmp_path.glob("*.yaml"):
        assert rhotem.load_plan(plan).specimen.structure


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.name)
def test_tutorials_are_kept_with_outputs(path: Path) -> None:
    """Run without error from top to bottom (`make notebooks` does it again), small, pictures described, on the map."""
    text = path.read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert len(text.encode()) < 400_000
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [(cell, output) for cell in cells for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" for _, output in outputs)
    for cell, output in outputs:
        if "image/png" in output.get("data", {}):
            assert cell["metadata"]["mystnb"]["image"]["alt"]
    assert f"tutorials/{path.stem}" in (ROOT / "docs" / "index.md").read_text()
