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


def test_formulas_in_files_and_odd_names_have_folders(tmp_path, monkeypatch):
    """Two formulas in one file are two candidates; a file may have an @; what is not a candidate's is refused."""
    monkeypatch.chdir(tmp_path)
    made = candidates_of(["LiCrO2@cifs/LiCoO2.cif", "LiNiO2@cifs/LiCoO2.cif"], lambda name: phase("LiCoO2"))
    assert [one.folder for one in made] == ["LiCrO2-LiCoO2.cif", "LiNiO2-LiCoO2.cif"]
    (tmp_path / "me@home").mkdir()
    (tmp_path / "me@home" / "a.cif").touch()
    (one,) = candidates_of(["me@home/a.cif"], lambda name: phase("LiF"))
    assert (one.folder, one.prototype, one.structure.formula) == ("a.cif", "", "LiF")
    for text in ("files/Library", "record.json", "…", "LiF@"):
        with pytest.raises(InputError, match="screen: "):
            candidates_of([text], lambda name: phase("LiF"))
    with pytest.raises(InputError, match="share the folder"):
        candidates_of(["a.cif", "A.cif"], lambda name: phase("LiF"))


def test_what_is_not_a_number_has_no_rank():
    rows = [{"name": "a", "v": float("nan")}, {"name": "b", "v": 1.0}, {"name": "c", "v": 3.0}]
    assert [(row["name"], row["rank"]) for row in ranked(rows, "v")] == [("c", 1), ("b", 2), ("a", None)]
    assert "nan" not in "".join(lines(ranked([{**row, "voltage_V": row["v"]} for row in rows], "v")))
    with pytest.raises(InputError, match="all failed, the first one: no such ion"):
        ranked([{"name": "a", "failed": "no such ion"}], "v")


@pytest.mark.parametrize(
    "asked, told",
    [
        (["--preset", "none"], "preset 'none' is not known"),
        (["--thickness", "nan"], "expected lengths"),
        (["--thickness", "0"], "expected lengths"),
        (["--zone", "0,0,0"], "is no direction"),
        (["--source", "none"], "no such source"),
        (["--defocus", "nan"], "finite number"),
        (["--rank", "voltag_V"], r"--rank voltag_V: no column of the table; did you mean voltage_V\?"),
        (["--rank", "nonsense"], "nonsense: no column of the table; choose one of a_A, b_A"),
        (["--rank", "metal_charge_e", "--no-charges"], "leave out --no-charges"),
        (["--rank", "ABF_ion", "--no-images"], "leave out --no-images"),
    ],
)
def test_wrong_settings_of_images_are_said_before_anything_is_relaxed(tmp_path, asked, told):
    with pytest.raises(InputError, match=told):
        screen("LiF", "--out", tmp_path / "out", *asked)
    assert not (tmp_path / "out").exists()


def test_columns_are_known_before_there_are_any():
    """Every number of a judged and imaged candidate is a column that --rank takes, else a right one is refused."""
    from rhotem.library.screening import judge as module
    from rhotem.library.screening.columns import check_rank, columns_of
    from rhotem.library.screening.images import Imaging

    known = columns_of(module.Criteria(), Imaging())
    sides = module._lattice(phase("LiF"), 4.0)
    charges = {e: {"atoms": 1, "hirshfeld": 0.3} for e in ("Li", "Co", "O")}
    assert {*sides, *module._charges(charges, ""), *module._charges(charges, "_change")} < set(known)
    assert {"ABF_ion", "HAADF_metal", "energy_Wh_per_kg"} < set(known)
    for name in known:
        check_rank(name, module.Criteria(), Imaging())


def test_capacity_is_of_the_full_crystal_also_where_x_starts_below_1(tmp_path, monkeypatch):
    """LiCoO2 from x = 0.75 to 0.5 gives a quarter of its 273.8 mAh/g."""
    from types import SimpleNamespace

    from rhotem.battery.charging.asked import Asked
    from rhotem.library.screening import judge as module

    crystal = phase("LiCoO2")

    def state(x):
        atoms = crystal.atoms.repeat((4, 1, 1))
        lithium = np.flatnonzero(atoms.symbols == "Li")
        del atoms[lithium[round(x * len(lithium)) :]]
        lattice = {"a_A": 2.8, "b_A": 2.8, "c_A": 14.0, "volume_A3": 32.0}
        return SimpleNamespace(x=x, structure=Structure(atoms), lattice=lattice, charges={})

    mean = SimpleNamespace(calibrated=None, raw=4.0)
    host = SimpleNamespace(formula_units=12)
    series = SimpleNamespace(states=[state(0.75), state(0.5)], mean=mean, host=host, notes=[])
    monkeypatch.setattr(module, "charge_series", lambda *_, **__: series)
    how = module.Criteria(Asked(x=(0.75, 0.5)), None)
    (one,) = candidates_of(["LiCoO2"], phase)
    row = module.judge(one, how, tmp_path).row
    assert row["capacity_mAh_per_g"] == pytest.approx(273.8 / 4, rel=2e-3)
    assert (row["x_high"], row["x_low"]) == (0.75, 0.5)


def test_another_relaxation_is_not_hidden_by_an_older_one(tmp_path):
    from rhotem.library.screening.judge import RELAXED, _keep
    from rhotem.structure.read import read_structure

    first, path = phase("LiF"), tmp_path / RELAXED
    _keep(first, path)
    written = path.stat().st_mtime_ns
    _keep(first, path)
    assert path.stat().st_mtime_ns == written
    larger = first.atoms.copy()
    larger.set_cell(1.02 * larger.cell.array, scale_atoms=True)
    _keep(Structure(larger), path)
    np.testing.assert_allclose(read_structure(path).cell, larger.cell.array, atol=1e-6)


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
    screen(*asked)
    told = json.loads((out / "record.json").read_text("utf-8"))
    assert told["ranked_by"] == "density_g_per_cm3"
    with pytest.raises(InputError, match="no candidate has it; choose one of a_A"):
        screen(*asked, "--rank", "voltage_V")


def test_every_candidate_has_the_reason_of_its_own_image(tmp_path, monkeypatch):
    """Tasks fail for reasons of their own; candidates that became one crystal share task and reason, others have none.

    The order of failures is not that of candidates: reasons are found by the task.
    """
    from rhotem.library.campaign.expand import tasks_of
    from rhotem.library.screening import images as module
    from rhotem.library.screening.judge import RELAXED, Judged
    from rhotem.structure.write import write_structure

    names = ["NaCl@LiF", "LiF", "LiF@LiF", "KBr@LiF"]
    judged = []
    for one in candidates_of(names, phase):
        folder = tmp_path / one.folder
        folder.mkdir()
        write_structure(one.structure, folder / RELAXED)
        judged.append(Judged(one, {"name": one.name}, one.structure))
    judged.append(Judged(judged[0].candidate, {"name": "lost"}, None, failed="no such ion"))
    how = module.Imaging(phonons=0, density="free-atoms")
    own = {
        n: tasks_of(how.campaign([str(tmp_path / one.candidate.folder / RELAXED)]))[0].id
        for n, one in zip(names, judged, strict=False)
    }
    done = []

    def failing(ledger, limits, crew, report):
        while (task := ledger.next(done)) is not None:
            done.append(task.id)
        for task in sorted(done):  # KBr without a reason
            if task != own["KBr@LiF"]:
                ledger.fail(task, f"{task}: memory", 0.0, 1)

    monkeypatch.setattr(module, "drive", failing)
    found = module.contrasts_of(judged, how, tmp_path)
    assert sorted(done) == sorted(set(own.values())) and len(done) == 3  # one for both of LiF, none for what failed
    nothing = {"KBr@LiF": "no columns are told apart along this axis"}
    assert found == {name: {"image_failed": nothing.get(name, f"{own[name]}: memory")} for name in names}


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
