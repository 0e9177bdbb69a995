"""Pilot studies: the dopant is where it is said to be, heavier is brighter, charges balance, the page holds it all."""

import csv
import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.battery.zones import zone_in_repeats
from rhotem.cli.pilot import app
from rhotem.core import RhoTEMError
from rhotem.structure.phases import phase
from rhotem.structure.read import read_structure


def run(out, dopant, *more):
    arguments = ["NiO", "--dopant", dopant, "--repeat", "1,1,1", "--zone", "0,0,1", "--quiet", *more]
    result = CliRunner().invoke(app, [*arguments, "--thickness", "1.2", "--phonons", "0", "--out", str(out)])
    assert result.exit_code == 0, result.output + str(result.exception)
    return json.loads((out / "record.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("dopant", "brighter"), [("W", True), ("Mg", False)])
def test_a_dopant_changes_its_own_column_by_its_atomic_number(tmp_path, dopant, brighter):
    told = run(tmp_path / "p", dopant, "--source", "free-atoms")
    change = {row["image"]: row["largest_change"] for row in told["images"]}
    assert (change["HAADF"] > 0) == brighter
    sites = told["sites"]
    assert sites[0]["doped"] == dopant and sites[0]["host"] == "Ni" and sites[0]["distance_A"] == 0
    assert sum(row["host"] != row["doped"] for row in sites) == 1
    assert max(abs(row["hirshfeld_doped_e"]) for row in sites) < 1e-9  # free atoms give nothing
    host, doped = (read_structure(tmp_path / "p" / f"{name}.extxyz") for name in ("host", "doped"))
    np.testing.assert_allclose(host.cell, doped.cell)
    assert host.formula == "NiO" and doped.atoms.get_chemical_symbols().count(dopant) == 1


@pytest.mark.slow
def test_the_page_holds_pictures_and_charges_that_balance(tmp_path):
    told = run(tmp_path / "p", "Al")
    for side in ("host", "doped"):
        assert sum(row[f"hirshfeld_{side}_e"] for row in told["sites"]) == pytest.approx(0.0, abs=0.02)
    page = (tmp_path / "p" / "report.html").read_text()
    assert len(re.findall(r'src="data:image/png;base64,', page)) == 3 and "http" not in page.replace("http-equiv", "")
    assert "Host: relaxed with sevennet-0" in page and "Doped: relaxed with" in page
    assert set(told["relaxations"]) == {"host", "doped"} and told["notes"] == []
    with open(tmp_path / "p" / "sites.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8 and rows[0]["doped"] == "Al"
    # Al(III) gives more than Ni(II) did
    assert float(rows[0]["bader_doped_e"]) > float(rows[0]["bader_host_e"]) + 0.5


def test_zones_keep_their_direction_in_a_repeated_cell():
    crystal = phase("LiCoO2")
    for repeats in ((2, 2, 1), (1, 3, 2), (4, 1, 1)):
        for zone in ((1, 0, 0), (0, 0, 1), (1, 1, 0), (2, -1, 3)):
            found = np.array(zone_in_repeats(crystal, zone, repeats)) @ (crystal.cell * np.array(repeats)[:, None])
            wanted = np.array(zone) @ crystal.cell
            assert found @ wanted == pytest.approx(np.linalg.norm(found) * np.linalg.norm(wanted))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["LiF", "--dopant", "Mg"], "give --replaces"),
        (["LiNiO2", "--dopant", "Xx"], "unknown element"),
        (["LiNiO2", "--dopant", "Ni"], "changes nothing"),
        (["LiNiO2", "--dopant", "Al", "--count", "99"], "there are"),
        (["LiNiO2", "--dopant", "Al", "--replaces", "Co"], "has no Co"),
        (["LiNiO2", "--dopant", "Al", "--repeat", "0,1,1"], "positive whole number"),
    ],
)
def test_what_is_wrong_ends_in_one_line_and_leaves_nothing(tmp_path, arguments, line):
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "p")])
    assert isinstance(result.exception, RhoTEMError), result.output
    assert line in str(result.exception) and "\n" not in str(result.exception)
    assert not (tmp_path / "p").exists()


def test_a_side_that_is_not_at_rest_is_said():
    from rhotem.battery.pilot.make import Pilot, PilotSettings, Side
    from rhotem.battery.relax import Settings, relax
    from rhotem.structure.build import displaced

    crystal = displaced(phase("NiO"), 0.02, np.random.default_rng(0))
    host, _ = relax(crystal, Settings(steps=100))
    doped, _ = relax(crystal, Settings(fmax=1e-4, steps=1))
    sides = [Side(one, None, [], None) for one in (host, doped)]
    made = Pilot(PilotSettings("Al"), crystal, "Ni", np.array([0]), *sides)
    assert len(made.notes) == 1 and made.notes[0].startswith("doped: ") and "1 steps" in made.notes[0]
