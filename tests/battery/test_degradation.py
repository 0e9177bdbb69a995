"""Degradation as a record: what is counted, what stays, resumption, refusals."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli.degradation import app
from rhotem.core import RhoTEMError
from rhotem.structure.read import read_structure


def run(out, *more):
    arguments = ["LiNiO2", "--rocksalt", "0,4,9", "--cycles", "0,100,400", "--thickness", "20", "--no-charges"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(out), "--quiet", *more])
    assert result.exit_code == 0, result.output + str(result.exception)
    return json.loads((out / "record.json").read_text())["steps"]


def test_capacity_is_that_of_the_ions_and_oxygen_stays(tmp_path):
    rows = run(tmp_path / "d", "--voltage", "3.9")
    # 26.80 Ah/mol over 97.63 g/mol: the theoretical capacity of LiNiO2
    assert rows[0]["capacity_mAh_per_g"] == pytest.approx(274.5, abs=0.5) and rows[0]["state_of_health"] == 1
    assert rows[0]["energy_Wh_per_kg"] == pytest.approx(3.9 * rows[0]["capacity_mAh_per_g"])
    health = [row["state_of_health"] for row in rows]
    assert health[0] > health[1] > health[2] > 0
    assert [r["capacity_mAh_per_g"] / rows[0]["capacity_mAh_per_g"] for r in rows] == pytest.approx(health)
    for row in rows:
        atoms = read_structure(tmp_path / "d" / "steps" / row["file"]).atoms
        symbols = atoms.get_chemical_symbols()
        oxygen = symbols.count("O")
        assert oxygen == rows[0]["atoms"] / 2  # rock salt grows on the oxygen that was there
        assert symbols.count("Li") == row["accessible"] and symbols.count("Ni") == oxygen - row["accessible"]
        lost = rows[0]["accessible"] - row["accessible"]
        assert row["lost_per_nm2"] * np.linalg.norm(np.cross(*atoms.cell.array[:2])) / 100 == pytest.approx(lost)
    with open(tmp_path / "d" / "degradation.csv") as stream:
        assert len(list(csv.DictReader(stream))) == 3


def test_lost_ions_leave_the_layered_part(tmp_path):
    plain, poor = run(tmp_path / "a"), run(tmp_path / "b", "--lost", "0,0,30", "--across", "2,1")
    assert poor[2]["accessible"] == round(0.7 * 2 * plain[2]["accessible"])
    assert poor[1]["accessible"] == 2 * plain[1]["accessible"]
    assert poor[2]["lost_per_nm2"] == pytest.approx(plain[2]["lost_per_nm2"])  # the surface takes no more for it


def test_losses_that_are_no_whole_ions_are_said(tmp_path):
    rows = run(tmp_path / "d", "--lost", "0,2,5")
    assert [row["lost_ions"] for row in rows] == [0, 0, 0]
    notes = json.loads((tmp_path / "d" / "record.json").read_text())["notes"]
    assert len(notes) == 2 and "step 2: 2 % of" in notes[0] and "0 were taken out" in notes[0]
    run(tmp_path / "e", "--lost", "0,0,50", "--across", "2,1")
    assert json.loads((tmp_path / "e" / "record.json").read_text())["notes"] == []


def test_health_above_that_of_the_first_step_is_said(tmp_path):
    rows = run(tmp_path / "d", "--rocksalt", "9,4,0")
    assert rows[2]["state_of_health"] > 1
    (note,) = json.loads((tmp_path / "d" / "record.json").read_text())["notes"]
    assert note.startswith("steps 2, 3 hold more accessible Li than step 1")


def test_a_killed_record_goes_on(tmp_path):
    first = run(tmp_path / "d")
    step = tmp_path / "d" / "steps" / "step-02.json"
    before = (tmp_path / "d" / "steps" / "step-03.json").stat().st_mtime_ns
    step.write_text("{")
    assert run(tmp_path / "d") == first
    assert (tmp_path / "d" / "steps" / "step-03.json").stat().st_mtime_ns == before
    arguments = ["LiNiO2", "--rocksalt", "0,5,9", "--thickness", "20", "--no-charges", "--out", str(tmp_path / "d")]
    assert "another series" in str(CliRunner().invoke(app, arguments).exception)


def test_what_fails_at_once_leaves_nothing_that_refuses_the_next_try(tmp_path):
    out = str(tmp_path / "d")
    wrong = CliRunner().invoke(app, ["LiFePO4", "--rocksalt", "0,4", "--no-charges", "--out", out])
    assert "no layered oxide" in str(wrong.exception) and not (tmp_path / "d").exists()
    # killed before its first step was done
    (tmp_path / "d" / "steps").mkdir(parents=True)
    (tmp_path / "d" / "steps" / "degradation.json").write_text('{"identity": "another"}')
    run(tmp_path / "d")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["LiNiO2", "--rocksalt", "0,40"], "something layered left"),
        (["LiNiO2", "--rocksalt", "0,-1"], "0 and more"),
        (["LiNiO2", "--rocksalt", "0,5", "--cycles", "1"], "one of each"),
        (["LiNiO2", "--rocksalt", "0,5", "--lost", "0,100"], "below 100"),
        (["LiNiO2", "--rocksalt", "thin"], "not a number"),
        (["LiFePO4", "--rocksalt", "0,5"], "layered"),
    ],
)
def test_what_is_wrong_ends_in_one_line_and_leaves_nothing(tmp_path, arguments, line):
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "d")])
    assert isinstance(result.exception, RhoTEMError), result.output
    assert line in str(result.exception) and "\n" not in str(result.exception)
    assert not list((tmp_path / "d").glob("*.csv"))
