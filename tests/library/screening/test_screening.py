"""Screening: formulas in prototypes, textbook capacities and densities, ranking, what fails, and that it goes on."""

import csv
import json

import ase
import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli.screen import app
from rhotem.core import InputError
from rhotem.library.screening.candidates import candidates_of, capacity_of, density_of, in_prototype
from rhotem.library.screening.table import lines, ranked
from rhotem.structure.model import Structure
from rhotem.structure.phases import phase


def screen(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize(
    "formula, prototype, told",
    [
        ("LiCrO2", "LiCoO2", {"Co": "Cr"}),
        ("NaCrS2", "LiCoO2", {"Li": "Na", "Co": "Cr", "O": "S"}),
        ("NaMnPO4", "LiFePO4", {"Li": "Na", "Fe": "Mn"}),
        ("KBr", "LiF", {"Li": "K", "F": "Br"}),
        ("LiTi2O4", "LiMn2O4", {"Mn": "Ti"}),
    ],
)
def test_formulas_take_the_sites_of_their_like(formula, prototype, told):
    crystal = phase(prototype)
    made = in_prototype(formula, crystal, prototype)
    assert dict(made.atoms.symbols.formula.reduce()[0].count()) == dict(ase.formula.Formula(formula).count())
    np.testing.assert_array_equal(made.positions, crystal.positions)
    for old, new in zip(crystal.atoms.symbols, made.atoms.symbols, strict=True):
        assert new == told.get(old, old)


@pytest.mark.parametrize(
    "formula, told",
    [
        ("LiCo2O4", "does not have the numbers"),
        ("LiXO2", "is no formula"),
        ("FeCoO2", "no element of the mobile ions"),
        ("LiNaO2", "no element of the metals"),
    ],
)
def test_formulas_that_do_not_fit_are_refused(formula, told):
    with pytest.raises(InputError, match=told):
        in_prototype(formula, phase("LiCoO2"), "LiCoO2")


def test_ambiguous_sites_are_refused():
    cell = Structure(
        ase.Atoms("LiFeMnO4", scaled_positions=np.random.default_rng(0).random((7, 3)), cell=[5] * 3, pbc=True)
    )
    with pytest.raises(InputError, match="more than one element of the metals"):
        in_prototype("LiCoNiO4", cell, "ordered")


def test_candidates_have_folders_of_their_own():
    made = candidates_of(["LiCoO2", "LiCrO2@LiCoO2"], phase)
    assert [one.folder for one in made] == ["LiCoO2", "LiCrO2-LiCoO2"]
    with pytest.raises(InputError, match="share the folder"):
        candidates_of(["LiCoO2", "cifs/LiCoO2"], lambda name: phase("LiCoO2"))


@pytest.mark.parametrize("name, told", [("LiFePO4", 169.9), ("LiCoO2", 273.8), ("LiMn2O4", 148.2)])
def test_theoretical_capacities_are_those_of_the_textbooks(name, told):
    """mAh/g of one electron for every Li: 170, 274 and 148."""
    assert capacity_of(phase(name), "Li", 1.0) == pytest.approx(told, rel=2e-3)


@pytest.mark.parametrize("name, told", [("Si", 2.329), ("LiF", 2.64), ("SrTiO3", 5.12)])
def test_densities_are_measured_ones(name, told):
    assert density_of(phase(name)) == pytest.approx(told, rel=0.01)


def test_ranking_puts_what_has_no_number_last():
    rows = [{"name": "a", "v": 1.0}, {"name": "b"}, {"name": "c", "v": 3.0}]
    assert [row["name"] for row in ranked(rows, "v")] == ["c", "a", "b"]
    assert [row["name"] for row in ranked(rows, "v", smallest=True)] == ["a", "c", "b"]
    assert [row["rank"] for row in ranked(rows, "v")] == [1, 2, None]
    with pytest.raises(InputError, match="--rank energy: no candidate has it; choose one of v"):
        ranked(rows, "energy")
    assert len(lines(ranked(rows, "v"))) == 4


def test_a_screening_from_the_command_line_goes_on(tmp_path):
    """Rock salts have no voltage but a lattice constant within 2.5 % of the measured one, 5.14 Å for LiCl."""
    out = tmp_path / "out"
    asked = ["LiCl@LiF", "KCl@LiF", "--no-images", "--no-charges", "--out", out]
    screen(*asked, "--rank", "a_A")
    rows = list(csv.DictReader((out / "screen.csv").open(encoding="utf-8")))
    assert [row["name"] for row in rows] == ["KCl@LiF", "LiCl@LiF"]
    assert float(rows[1]["a_A"]) == pytest.approx(5.14, rel=0.025)
    told = json.loads((out / "record.json").read_text("utf-8"))
    assert "no voltage" in told["notes"]["LiCl@LiF"][0]
    before = (out / "LiCl-LiF" / "relaxed.extxyz").stat().st_mtime_ns
    screen(*asked, "--rank", "a_A", "--smallest")
    assert (out / "LiCl-LiF" / "relaxed.extxyz").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="choose one of a_A"):
        screen(*asked, "--rank", "nonsense")


@pytest.mark.slow
def test_charging_and_images_stand_in_one_table(tmp_path):
    """LiFePO4 discharges at 3.45 ± 0.1 V and shrinks; lithium is dark in ABF, the library holds the response."""
    from rhotem.library.store import Library

    out = tmp_path / "out"
    asked = ["LiFePO4", "--phonons", "0", "--thickness", "1", "--source", "free-atoms", "--no-charges"]
    screen(*asked, "--zone", "0,1,0", "--out", out)
    row = next(csv.DictReader((out / "screen.csv").open(encoding="utf-8")))
    assert float(row["voltage_V"]) == pytest.approx(3.45, abs=0.11)
    assert -9 < float(row["volume_change_percent"]) < -3
    assert float(row["ABF_metal"]) < -0.01
    screen("LiF", *asked, "--zone", "0,1,0", "--out", out)
    rows = list(csv.DictReader((out / "screen.csv").open(encoding="utf-8")))
    assert [one["name"] for one in rows] == ["LiFePO4", "LiF"] and rows[0]["entry"] == row["entry"]
    with Library.open(out / "library") as library:
        assert len(library.entries()) == 2
