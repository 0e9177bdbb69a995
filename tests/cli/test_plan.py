"""`rhotem image` with plans and records: options reach the plan, runs are repeated, Python does the same."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

import rhotem
from rhotem.analysis import where, workflow
from rhotem.analysis.plan import Plan, load_plan, load_run
from rhotem.analysis.voice import RhoTEMWarning, Voice
from rhotem.cli import main
from rhotem.cli.options import options, planned
from rhotem.core import InputError, machine
from rhotem.core.threads import available_threads
from rhotem.structure.phases import phase
from rhotem.structure.write import write_structure

#: The cheapest image that uses atoms, motion and noise: 0.3 nm of LiF.
THIN = {
    "specimen": {"structure": "LiF", "thickness_nm": 0.4},
    "motion": {"phonons": 1},
    "density": {"source": "free-atoms"},
    "microscope": {"detectors": ["ABF=11-22", "BF=8"]},
    "computing": {"seed": 3},
}
COMMAND = ["image", "LiF", "--thickness", 0.4, "--phonons", 1, "--source", "free-atoms", "--seed", 3]
COMMAND += ["--detector", "ABF=11-22", "--detector", "BF=8"]


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main.app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def pictures(folder: Path) -> dict[str, np.ndarray]:
    group = zarr.open_group(str(folder / "images.zarr"), mode="r")
    return {name: np.asarray(group[name]) for name in group.array_keys()}


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)


#: What is written behind every option, and what the plan then holds.
VALUES: dict[str, tuple[list[str], Any]] = {
    "specimen.zone": (["1,1,0"], (1, 1, 0)),
    "specimen.plane": (["[1-10]"], (1, -1, 0)),
    "specimen.zone_basis": (["input"], "input"),
    "specimen.vacuum_A": (["8"], 8.0),
    "specimen.thickness_nm": (["3"], 3.0),
    "motion.phonons": (["auto:0.5"], "auto:0.5"),
    "motion.temperature_K": (["100"], 100.0),
    "motion.msd_A2": (["Li=0.01,F=0.02"], {"Li": 0.01, "F": 0.02}),
    "motion.frames": (["md.traj"], "md.traj"),
    "density.source": (["free-atoms"], "free-atoms"),
    "density.charge_e": (["1"], 1.0),
    "density.valence_e": (["Li=1,F=7"], {"Li": 1.0, "F": 7.0}),
    "density.file_kind": (["total"], "total"),
    "density.gpaw_cache": (["cache"], "cache"),
    "microscope.preset": (["pacbed"], "pacbed"),
    "microscope.instrument": (["corrected-80-cfeg"], "corrected-80-cfeg"),
    "microscope.alignment": (["4"], 4),
    "microscope.without": (["jitter", "drift"], ("jitter", "drift")),
    "microscope.focal_spread_A": (["30"], 30.0),
    "microscope.objective_mrad": (["25"], 25.0),
    "microscope.precession_mrad": (["20"], 20.0),
    "microscope.energy_keV": (["80"], 80.0),
    "microscope.convergence_mrad": (["30"], 30.0),
    "microscope.defocus_nm": (["-2"], -2.0),
    "microscope.cs_mm": (["0.001"], 0.001),
    "microscope.aberrations": (["C12=2nm", "phi12=30"], ("C12=2nm", "phi12=30")),
    "microscope.tilt_mrad": (["2,-1"], (2.0, -1.0)),
    "microscope.source_size_A": (["0.8"], 0.8),
    "microscope.detectors": (["HAADF=68-200", "DPC=6-22"], ("HAADF=68-200", "DPC=6-22")),
    "recording.dose_e_per_A2": (["2e4"], 2e4),
    "recording.scan_step_A": (["0.2"], 0.2),
    "recording.field_of_view_A": (["25"], 25.0),
    "recording.camera_step_mrad": (["0.5"], 0.5),
    "computing.algorithm": (["bloch"], "bloch"),
    "computing.sampling_A": (["0.05"], 0.05),
    "computing.slice_thickness_A": (["1"], 1.0),
    "computing.memory": (["4GB"], "4GB"),
    "computing.scheduler": (["tcp://somewhere:8786"], "tcp://somewhere:8786"),
    "computing.seed": (["7"], 7),
}

#: Without which an option means nothing.
BESIDE = {
    "microscope.alignment": ("--instrument", "microscope.instrument", "corrected-200-cfeg"),
    "microscope.without": ("--instrument", "microscope.instrument", "corrected-200-cfeg"),
    "microscope.objective_mrad": ("--preset", "microscope.preset", "cryo-sei-hrtem"),
    "microscope.precession_mrad": ("--preset", "microscope.preset", "saed"),
}


@pytest.mark.parametrize("place", options())
def test_every_option_reaches_the_plan(place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """As a default run, and over a plan that says otherwise; all that is not asked for stays."""
    asked: list[Plan] = []

    def seen(plan: Any, *rest: Any) -> None:
        asked.append(plan.plan)
        raise InputError("seen")

    monkeypatch.setattr(workflow, "run", seen)
    name, option = place.partition(".")[::2], options()[place]
    switch = option.reads is bool
    texts, value = ([], True) if switch else VALUES[place]
    words = [option.name.partition("/")[0]] if switch else [w for t in texts for w in (option.name, t)]
    flag, key, needed = BESIDE.get(place, ("", "", ""))
    code, _, err = invoke("image", "LiF", *words, *([flag, needed] if flag else []))
    assert (code, err) == (2, "error: seen\n"), err
    got = getattr(getattr(asked[0], name[0]), name[1])
    assert got == value
    same = Plan(specimen={"structure": "LiF"}, density={"source": asked[0].density.source})
    same = same.changed({key: needed}) if key else same
    assert asked[0] == (same.changed({place: value}) if place != "density.source" else same)
    asked[0].save(tmp_path / "p.yaml")
    assert load_plan(tmp_path / "p.yaml").changed({place: None}) == same.changed({place: None})
    if switch:
        assert invoke("image", tmp_path / "p.yaml", option.name.partition("/")[2])[0] == 2
        assert getattr(getattr(asked[1], name[0]), name[1]) is False


def test_options_together_with_a_plan_override_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    Plan(**THIN).save(tmp_path / "p.yaml")
    plain = planned(str(tmp_path / "p.yaml"), {}).plan
    other = planned(str(tmp_path / "p.yaml"), {"specimen.thickness_nm": 2.0, "microscope.detectors": ["BF=8"]}).plan
    assert plain == Plan(**THIN)
    assert other == plain.changed(thickness_nm=2.0, detectors=("BF=8",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of the command, its plan saved."""
    folder = tmp_path_factory.mktemp("made")
    code, _, err = invoke(*COMMAND, "--out", folder / "out", "--save-plan", folder / "plan.yaml", "--quiet")
    assert code == 0, err
    return folder


def test_the_command_its_plan_and_python_give_the_same(made: Path, tmp_path: Path):
    """Arrays equal to the last bit, and the same files."""
    assert load_plan(made / "plan.yaml") == Plan(**THIN)
    assert invoke("image", made / "plan.yaml", "--out", tmp_path / "again", "--quiet")[0] == 0
    result = rhotem.run(Plan(**THIN), tmp_path / "python")
    expected = pictures(made / "out")
    assert {"ABF", "BF", "PACBED"} <= set(expected)
    assert equal(pictures(tmp_path / "again"), expected) and equal(pictures(tmp_path / "python"), expected)
    names = sorted(os.listdir(made / "out"))
    assert sorted(os.listdir(tmp_path / "python")) == names and set(result.files) | {"record.json"} == set(names)
    assert result.record["run"]["identity"] == json.loads((made / "out" / "record.json").read_text())["run"]["identity"]
    assert "command" not in result.record
    nothing = rhotem.run(THIN)
    np.testing.assert_array_equal(nothing.images["ABF"], result.images["ABF"])
    assert nothing.files == () and nothing.record["plan"] == Plan(**THIN).data(full=True)


def test_a_record_is_done_again(made: Path, tmp_path: Path):
    """To the last bit with its threads and transforms; the record of that is a record, too."""
    code, out, err = invoke("image", made / "out" / "record.json", "--out", tmp_path / "a")
    assert (code, err) == (0, "") and "rounding" not in out
    assert equal(pictures(tmp_path / "a"), pictures(made / "out"))
    assert invoke("image", tmp_path / "a", "--out", tmp_path / "b", "--quiet")[0] == 0  # the folder stands for it
    assert equal(pictures(tmp_path / "b"), pictures(made / "out"))
    first, last = (json.loads((p / "record.json").read_text()) for p in (made / "out", tmp_path / "b"))
    assert first["plan"] == last["plan"] and first["run"]["identity"] == last["run"]["identity"]


def test_a_record_with_other_threads_is_the_same_within_rounding(made: Path, tmp_path: Path, monkeypatch):
    """Within 1e-6 of the beam's share on other processors; the recorded threads are those it is done again with."""
    record = json.loads((made / "out" / "record.json").read_text())
    record["run"]["machine"] |= {"threads": 2, "processor": "another", "fftw_wisdom": []}
    shutil.copytree(made / "out", tmp_path / "out")
    (tmp_path / "out" / "record.json").write_text(json.dumps(record))
    numbers = []
    prepare = workflow.prepare

    def seen(*given: Any) -> workflow.Job:
        numbers.append(available_threads())
        return prepare(*given)

    monkeypatch.setattr(workflow, "prepare", seen)
    code, out, err = invoke("image", tmp_path / "out" / "record.json", "--out", tmp_path / "a")
    assert (code, err) == (0, "") and "processor is" in out and numbers == [2]
    expected = pictures(made / "out")
    for name, values in pictures(tmp_path / "a").items():
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-6 * np.abs(expected[name]).max())


def test_what_changed_since_is_warned_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The structure, or the version of the physics; the record finds its structure from wherever it is called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    write_structure(phase("LiF"), tmp_path / "in" / "a.cif")
    assert invoke("image", "in/a.cif", *COMMAND[2:], "--out", "out", "--quiet")[0] == 0
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    assert record["plan"]["specimen"]["structure"] == os.path.join("..", "in", "a.cif")
    monkeypatch.chdir(tmp_path / "in")
    assert invoke("image", "../out/record.json", "--out", "again", "--quiet")[2] == ""
    with open(tmp_path / "in" / "a.cif", "a") as file:
        file.write("# another\n")
    record["run"]["physics"] = 0
    (tmp_path / "out" / "record.json").write_text(json.dumps(record))
    code, _, err = invoke("image", "../out/record.json", "--out", "again", "--quiet")
    assert code == 0 and err.count("warning: ") == 2 == err.count("\n")
    assert "specimen.structure ../in/a.cif has changed" in err.replace(os.sep, "/").replace(" a.cif", " ../in/a.cif")
    assert "version 0 of the physics" in err
    with pytest.warns(RhoTEMWarning) as caught:
        rhotem.run("../out/record.json")
    assert sum(w.category is RhoTEMWarning for w in caught) == 2


def test_old_records_are_refused_by_name(tmp_path: Path):
    """Those of 0.1 hold no plan; the command to repeat stands in them."""
    old = {
        "format": "rhotem-record",
        "format_version": 1,
        "command": ["rhotem", "image", "LiF", "--thickness", "3"],
        "versions": {"rhotem": "0.1.0"},
        "files": [],
    }
    path = tmp_path / "record.json"
    path.write_text(json.dumps(old))
    code, _, err = invoke("image", path, "--out", tmp_path / "out")
    assert code == 2 and err.count("\n") == 1 and not (tmp_path / "out").exists()
    assert "record of format 1 by RhoTEM 0.1.0" in err and "rhotem image LiF --thickness 3" in err


@pytest.mark.parametrize("name", ["p.yaml", "p.yml", "p.json"])
def test_a_wrong_plan_leaves_nothing(tmp_path: Path, name: str):
    content = {"rhotem": 1, "specimen": {"structure": "LiF"}, "density": {"sourze": "free-atoms"}}
    (tmp_path / name).write_text(json.dumps(content, indent=1))
    code, _, err = invoke("image", tmp_path / name, "--out", tmp_path / "out")
    assert code == 2 and f"{name}, line 7: density.sourze: unknown key; did you mean source?" in err
    assert os.listdir(tmp_path) == [name]


def test_yaml_that_is_no_plan_is_refused(tmp_path: Path):
    (tmp_path / "phonopy.yaml").write_text("phonopy:\n  version: 2\n")
    code, _, err = invoke("image", tmp_path / "phonopy.yaml", "--out", tmp_path / "out")
    assert code == 2 and "no key rhotem" in err


def test_a_series_goes_into_folders(tmp_path: Path):
    Plan(**THIN, series={"detectors": [["BF=8"], ["BF=9"]]}).save(tmp_path / "p.yaml")
    assert invoke("image", tmp_path / "p.yaml", "--phonons", 0, "--out", tmp_path / "out", "--quiet")[0] == 0
    names = sorted(os.listdir(tmp_path / "out"))
    assert names == ["detectors=BF_8", "detectors=BF_9", "montage-BF.png", "record.json", "series.zarr"]
    one, two = (pictures(tmp_path / "out" / name)["BF"] for name in names[:2])
    assert one.shape == two.shape and not np.array_equal(one, two)
    with pytest.raises(InputError, match=r"rhotem.run_series\(plan, out\)"):
        rhotem.run(tmp_path / "p.yaml")


def test_python_streams_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By way of the disk as the command does, with and without a folder for the result; nothing is left."""
    whole = rhotem.run(THIN, tmp_path / "whole")
    monkeypatch.setattr(where, "fits", lambda *sizes: False)
    said: list[str] = []
    disk = rhotem.run(THIN, tmp_path / "disk", Voice(said.append))
    assert any("to disk one by one here" in line for line in said)
    assert (whole.record["run"]["place"], disk.record["run"]["place"]) == ("memory", "disk")
    for name in ("ABF", "BF"):
        np.testing.assert_allclose(disk.images[name], whole.images[name], atol=1e-4 * np.abs(whole.images[name]).max())
    np.testing.assert_array_equal(rhotem.run(THIN).images["BF"], disk.images["BF"])
    assert sorted(os.listdir(tmp_path)) == ["disk", "whole"]
    # done again it lies where it lay
    again = rhotem.run(load_run(tmp_path / "whole" / "record.json"))
    assert again.record["run"]["place"] == "memory"
    np.testing.assert_array_equal(again.images["ABF"], whole.images["ABF"])


class Doubt:
    """A source whose members move ± some electrons between the atoms of LiF."""

    loaded = 0

    def __init__(self, memory: int | None = None, announce: object = None) -> None:
        Doubt.loaded += 1
        self.memory, self.member_count = memory, 2

    def __call__(self, structure: Any, grid: Any) -> Any:
        return self._field(structure, grid, 0.0)

    def members(self, structure: Any, grid: Any) -> Any:
        yield from (self._field(structure, grid, step) for step in (-0.2, 0.2))

    def _field(self, structure: Any, grid: Any, step: float) -> Any:
        from rhotem.density.field import DensityField

        fractions = grid.points() @ np.linalg.inv(grid.cell) - structure.atoms.get_scaled_positions()[0]
        wave = np.cos(2 * np.pi * fractions).sum(-1) / grid.volume
        return DensityField("deformation", structure, grid, step * wave, source="doubt", record={"warnings": ["doubt"]})


@pytest.fixture
def doubt(monkeypatch: pytest.MonkeyPatch) -> type[Doubt]:
    """Registered as another package would."""
    from rhotem.density import source

    class Entry:
        name, load = "doubt", staticmethod(lambda: Doubt)

    real = source.registered
    monkeypatch.setattr(source, "registered", lambda group: {**real(group), Entry.name: Entry})
    Doubt.loaded = 0
    return Doubt


@pytest.mark.parametrize(
    "recording",
    [
        {},
        {"scan_step_A": 0.25, "field_of_view_A": 8.0},
        pytest.param({"scan_step_A": 0.2}, marks=pytest.mark.slow),
        pytest.param({"dose_e_per_A2": 1e4, "field_of_view_A": 7.0}, marks=pytest.mark.slow),
    ],
)
def test_error_bars_share_source_and_pixels(doubt: type[Doubt], recording: dict, tmp_path: Path):
    """The source is loaded once for image and error bars, and σ has the pixels of the written image."""
    plan = Plan(**THIN).changed(source="doubt", uncertainty=True, phonons=0).changed(recording=recording)
    said: list[str] = []
    result = rhotem.run(plan, tmp_path / "out", Voice(said.append, said.append))
    assert doubt.loaded == 1 and "doubt" in said
    image, sigma = pictures(tmp_path / "out"), pictures(tmp_path / "out" / "uncertainty")
    assert image["ABF"].shape == sigma["ABF"].shape and sigma["ABF"].max() > 0
    assert result.record["uncertainty"]["members"] == 2


def test_doubts_are_python_warnings(doubt: type[Doubt]):
    """They point at who called."""
    with pytest.warns(RhoTEMWarning, match="doubt") as caught:
        rhotem.run(Plan(**THIN).changed(source="doubt", phonons=0, memory="2GB"))
    assert [w.filename for w in caught if w.category is RhoTEMWarning] == [__file__]


def test_sources_without_planes_are_not_streamed(doubt: type[Doubt], monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match="needs --source model or free-atoms"):
        rhotem.run(Plan(**THIN).changed(source="doubt", scheduler="tcp://somewhere:8786"))


def test_progress_and_messages_are_callables():
    stages: set[str] = set()
    said: list[str] = []
    rhotem.run(THIN, None, Voice(said.append, said.append, lambda stage, done, total: stages.add(stage)))
    assert stages and any(line.startswith("density: free atoms") for line in said)


def test_threads_and_transforms_are_those_of_the_record():
    with machine.as_on({"threads": 3}):
        assert machine.machine()["threads"] == 3 == available_threads()
    assert machine.differences(machine.machine()) == []


@pytest.mark.parametrize("text", ["nan,4,3", "-4,inf,3", "-4,4,0", "-4,4,1000000000", "-4,4", "-4,4,-3", "a,b,c"])
def test_foci_that_cannot_be_tried_are_refused(text):
    from rhotem.cli.plan import _steps

    assert _steps("-4,4,3") == [-4.0, 0.0, 4.0]
    with pytest.raises(InputError, match="--foci"):
        _steps(text)
