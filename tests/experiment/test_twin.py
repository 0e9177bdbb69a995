"""The digital twin: a replayed session, killed runs, numbers with units, exports, bad input."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from rhotem.cli import main
from rhotem.core import InputError
from rhotem.core.folders import locked
from rhotem.experiment.read import Stated, read_measurement
from rhotem.experiment.twin import Number, Twin, Watched, measured, parse_number, watch
from rhotem.experiment.twin.export import bpx, rows
from rhotem.experiment.twin.page import lines, write_page
from rhotem.experiment.twin.store import SEAL
from rhotem.experiment.twin.watch import WATCHES, Fitting
from tests.experiment.files import write_dm3, write_ser

PATTERN = Path(__file__).parents[1] / "data" / "experiment" / "pacbed-srtio3-61-63nm.png"


def invoke(*arguments):
    result = CliRunner().invoke(main.app, ["twin", *(str(a) for a in arguments)])
    return result.exit_code, result.stdout, result.stderr


class Brightness:
    """A fit of the mean, which refuses dark pictures and breaks on square ones."""

    def fit(self, measurement):
        mean = float(measurement.data.mean())
        if measurement.data.shape[0] == measurement.data.shape[1]:
            raise ZeroDivisionError("square")
        if mean < 10:
            raise InputError("too dark")
        error = float(measurement.data.std() / np.sqrt(measurement.data.size))
        return Fitting({"parameters": {"brightness": {"value": mean, "error": error, "unit": ""}}}, f"mean {mean:.0f}")


def image(rng, level, shape=(24, 30)):
    return rng.poisson(level, shape).astype(np.uint16)


def made(tmp_path, **more):
    twin = Twin.create(tmp_path / "twin", "a cell")
    twin.add({"structure": {"name": "LiCoO2", "formula": "CoLiO2"}}, at=datetime(2026, 1, 1, tzinfo=UTC), **more)
    return twin


def test_a_session_replayed(tmp_path, rng):
    """Files come one after another: read, fitted, refused with the reason; one still grows; none is taken twice."""
    twin, session = made(tmp_path), tmp_path / "session"
    session.mkdir()
    watched = Watched(twin, session, Stated(kind="image"), Brightness())
    write_dm3(session / "first.dm3", image(rng, 100), 0.01, 80e3, 4.0)
    assert watched.look() == []  # not before it has stopped changing
    (entry,) = watched.look()
    assert entry.measurements[0]["energy_keV"] == 80 and len(entry.measurements[0]["source"]["sha256"]) == 64
    assert entry.parameters["brightness"]["value"] == pytest.approx(100, abs=2)
    assert twin.pictures(entry)["measured"].shape == (24, 30)
    # a file that grows
    write_dm3(tmp_path / "whole.dm3", image(rng, 50), 0.01, 80e3, 4.0)
    whole = (tmp_path / "whole.dm3").read_bytes()
    for end in (700, 1200, len(whole)):
        (session / "second.dm3").write_bytes(whole[:end])
        assert watched.look() == []
    # a damaged one, one that the fit refuses, one on which it breaks, a copy, what is no measurement
    (session / "bad.dm3").write_bytes(whole[:400])
    write_dm3(session / "dark.dm3", image(rng, 3), 0.01, 80e3, 4.0)
    write_dm3(session / "square.dm3", image(rng, 60, (20, 20)), 0.01, 80e3, 4.0)
    shutil.copy(session / "first.dm3", session / "again.dm3")
    (session / "notes.txt").write_text("tea at four")
    watched.look()
    watched.look()
    reasons = {e.said["refused"]["path"].rpartition("/")[2]: e.said["refused"]["reason"] for e in twin.entries[1:]
               if "refused" in e.said}  # fmt: skip
    assert set(reasons) == {"bad.dm3"} and "damaged" in reasons["bad.dm3"]
    others = {e.measurements[0]["source"]["path"].rpartition("/")[2]: e for e in twin.entries if e.measurements}
    assert set(others) == {"first.dm3", "second.dm3", "dark.dm3", "square.dm3"}
    assert others["second.dm3"].parameters["brightness"]["value"] == pytest.approx(50, abs=2)
    assert others["dark.dm3"].said["not_fitted"] == "too dark"
    assert "a defect" in others["square.dm3"].said["not_fitted"]
    # the damaged file is written whole: it counts as a new one
    write_dm3(session / "bad.dm3", image(rng, 70), 0.01, 80e3, 4.0)
    watched.look()
    (late,) = watched.look()
    assert late.parameters["brightness"]["value"] == pytest.approx(70, abs=2)
    # another run knows what is done
    again = Watched(Twin.open(twin.folder), session, Stated(kind="image"), Brightness())
    assert again.look() + again.look() == []


def test_a_twin_in_the_watched_folder_is_not_measured(tmp_path, rng, monkeypatch):
    monkeypatch.chdir(tmp_path)
    twin = made(Path("."))  # by a relative path, watched by an absolute one
    (twin.folder / "files" / "own.npy").write_bytes(b"x")
    np.save(tmp_path / "new.npy", image(rng, 50))
    watched = Watched(twin, tmp_path, Stated(kind="image", pixel_A=0.1))
    watched.look()
    (entry,) = watched.look()
    assert entry.measurements[0]["source"]["path"].endswith("new.npy")


def test_series_are_read_through_what_knows_their_settings(tmp_path, rng):
    """A .ser whose .emi is there is not a measurement of its own."""
    twin, session = made(tmp_path), tmp_path / "session"
    session.mkdir()
    write_ser(session / "scan_1.ser", image(rng, 80), 1e-11)
    (session / "scan.emi").write_bytes(b"not complete")
    watched = Watched(twin, session, Stated(kind="image"))
    watched.look()
    (entry,) = watched.look()
    assert entry.said["refused"]["path"].endswith("scan.emi")
    (session / "scan.emi").unlink()
    watched.look()
    (entry,) = watched.look()
    assert entry.measurements[0]["source"]["path"].endswith("scan_1.ser")


def test_watching_ends_when_nothing_comes(tmp_path, rng):
    twin, session, told = made(tmp_path), tmp_path / "session", []
    session.mkdir()
    write_dm3(session / "first.dm3", image(rng, 100), 0.01, 80e3, 4.0)
    number = watch(Watched(twin, session), told.append, every=0.01, idle=0.05)
    assert number == len(told) == 1
    with pytest.raises(InputError, match="no such folder"):
        watch(Watched(twin, tmp_path / "nowhere"), told.append)


def test_states_hold_until_others_are_given(tmp_path):
    twin = made(tmp_path)
    for day, said in enumerate((["cycle=1", "x=1"], ["capacity=150mAh/g"], ["temperature=25degC"], ["cycle=2"]), 2):
        twin.add({}, numbers=dict(map(parse_number, said)), at=datetime(2026, 1, day, tzinfo=UTC))
    twin.add({"note": "between"}, at=datetime(2026, 1, 3, 12, tzinfo=UTC))
    states = twin.states()
    assert {n: str(v) for n, v in states[4].items()} == {"cycle": "1", "x": "1", "temperature": "298.15 K"}
    assert set(states[3]) == {"cycle", "x"}  # a capacity is of its entry alone
    assert set(states[6]) == {"cycle", "x"}  # by time, not by when it was written
    assert set(states[5]) == {"cycle", "temperature"}  # another cycle: how full it is has to be said anew


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("capacity=540C/g", Number(150.0, "mAh/g")),
        ("voltage=3900mV", Number(3.9, "V")),
        ("soc=0.8", Number(80.0, "%")),
        ("gap=1.2eV", Number(1.2, "eV")),
        ("share=0.2 1", Number(0.2, "")),
    ],
)
def test_units(text, value):
    found = parse_number(text)[1]
    assert found.value == pytest.approx(value.value) and found.unit == value.unit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("capacity", "NAME=VALUE"),
        ("capacity=many", "NAME=VALUE"),
        ("capacity=150", "given in mAh/g or Ah/kg or C/g"),
        ("x=1.2", "between 0 and 1"),
        ("gap=1.2", "give its unit"),
        ("voltage=nanV", "NAME=VALUE"),
        ("voltage=1e999V", "larger than numbers"),
        ("time=5h", "means something else"),
    ],
)
def test_wrong_numbers_in_one_line(text, words):
    with pytest.raises(InputError, match=words):
        parse_number(text)


def test_an_entry_is_whole_or_not_there(tmp_path):
    """Whatever a killed run left: half-written files, arrays without an entry, its lock."""
    twin = made(tmp_path)
    (twin.folder / "entries" / "0002.yaml.new").write_text("number: 2\nti")
    (twin.folder / "arrays" / "0002.zarr").mkdir()
    (twin.folder / "arrays" / "0002.zarr" / "zarr.json").write_text("{")
    opened = Twin.open(twin.folder)
    assert len(opened.entries) == 1
    entry = opened.add({"note": "after"}, pictures={"one": np.ones((3, 4))})
    assert entry.number == 2 and opened.pictures(entry)["one"].shape == (3, 4)
    assert len(twin.entries) == 1
    twin.add({"note": "of another run"})  # knows what the other wrote
    assert [e.said.get("note") for e in twin.entries] == [None, "after", "of another run"]
    assert len(Twin.open(twin.folder, revision=2).entries) == 2


WRITER = """
import sys
from rhotem.experiment.twin import Twin
import numpy as np
twin = Twin.open(sys.argv[1])
while True:
    twin.add({"note": "x" * 2000}, pictures={"a": np.ones((40, 40))})
    print("one", flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path):
    """Two runs write; both are killed with SIGKILL; every entry there is whole and the next run goes on."""
    twin = made(tmp_path)
    for delay in (0.0, 0.013, 0.029):
        runs = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(twin.folder)], stdout=subprocess.PIPE) for _ in range(2)
        ]
        for run in runs:
            assert run.stdout.readline() == b"one\n"
        time.sleep(delay)
        for run in runs:
            os.kill(run.pid, signal.SIGKILL)
            run.communicate()
    opened = Twin.open(twin.folder)
    assert len(opened.entries) > 6
    for entry in opened.entries[1:]:
        assert entry.said["note"] == "x" * 2000 and opened.pictures(entry)["a"].sum() == 1600
    opened.add({"note": "on"})


def test_damage_is_told_in_one_line(tmp_path):
    twin = made(tmp_path)
    entry = twin.folder / "entries" / "0001.yaml"
    for text in ("number: 1\n", "]", "number: 2\ntime: '2026-01-01T00:00:00+00:00'\n"):
        entry.write_text(text)
        with pytest.raises(InputError, match=r"0001\.yaml"):
            Twin.open(twin.folder)
    (twin.folder / "twin.yaml").write_text("format: rhotem-twin\nformat_version: 99\n")
    with pytest.raises(InputError, match="version 99"):
        Twin.open(twin.folder)


def test_a_lost_entry_is_told_of(tmp_path):
    """Entries after it were no longer shown, and its number was given to the next."""
    twin = made(tmp_path)
    for note in ("second", "third"):
        twin.add({"note": note})
    (twin.folder / "entries" / "0002.yaml").unlink()
    with pytest.raises(InputError, match=r"0002\.yaml: missing"):
        Twin.open(twin.folder)


@pytest.mark.parametrize("numbers", [{"voltage": Number(float("inf"), "V")}, {"voltage": Number(float("nan"), "V")}])
def test_what_could_not_be_read_again_is_not_written(tmp_path, numbers):
    """One infinite number made every later command fail."""
    twin = made(tmp_path)
    with pytest.raises(InputError, match="cannot be read again"):
        twin.add({}, numbers=numbers)
    assert len(Twin.open(twin.folder).entries) == 1


def test_hostile_files_of_a_session(tmp_path, rng):
    """Names that are no text, that are HTML, that move a cursor; links in a circle; a year before calendars."""
    twin, session = made(tmp_path), tmp_path / "session"
    session.mkdir()
    for name in (os.fsdecode(b"bad\xff.dm3"), "<img src=x onerror=alert(1)>.dm3", "red\n\x1b[31m.dm3"):
        write_dm3(tmp_path / "one", image(rng, 50), 0.01, 80e3, 4.0)
        (tmp_path / "one").rename(session / name)
    (session / "loop.dm3").symlink_to("loop.dm3")
    (session / "here").symlink_to(".")
    watched = Watched(twin, session, Stated(kind="image"))
    watched.look()
    assert len(watched.look()) == 3
    opened = Twin.open(twin.folder)
    text = write_page(opened)
    text.encode()
    assert "<img src=x" not in text and "&lt;img src=x" in text
    code, said, _ = invoke("show", twin.folder)
    assert code == 0 and "\x1b" not in said and "bad\\udcff.dm3" in said and len(said.splitlines()) == 5


def test_a_file_without_a_date_of_this_world(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(measured, "look_up", lambda told, key: "0001-01-01" if key.endswith("date") else "00:00:00")
    write_dm3(tmp_path / "a.dm3", image(rng, 50), 0.01, 80e3, 4.0)
    os.utime(tmp_path / "a.dm3", (1e9, 1e9))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        found = measured.when(read_measurement(tmp_path / "a.dm3", Stated(kind="image")))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found == datetime.fromtimestamp(1e9, UTC)


def test_pictures_one_pixel_high_are_binned_along_the_other_side():
    assert measured.small(np.ones((1, 1000))).shape == (1, 250)


def test_what_an_earlier_run_refused_is_not_told_again(tmp_path, rng, monkeypatch):
    """A file that nobody may read has no hash: every run added it anew."""
    twin, session = made(tmp_path), tmp_path / "session"
    session.mkdir()
    write_dm3(session / "secret.dm3", image(rng, 50), 0.01, 80e3, 4.0)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(sys.modules[Watched.__module__], "file_sha256", refuse)
    for expected in (1, 0):
        watched = Watched(twin, session, Stated(kind="image"))
        watched.look()
        assert len(watched.look()) == expected


def test_folders_that_vanish(tmp_path):
    twin, session = made(tmp_path), tmp_path / "session"
    session.mkdir()
    with pytest.raises(InputError, match="is gone"):
        watch(Watched(twin, session), print, sleep=lambda _: session.rmdir() if session.exists() else None)
    shutil.rmtree(twin.folder)
    with pytest.raises(InputError, match="the twin's folder is gone"):
        twin.add({"note": "lost"})


def test_numbers_called_as_what_is_fitted_have_a_column_of_their_own(tmp_path):
    twin = made(tmp_path)
    fit = {"parameters": {"thickness": {"value": 40.0, "error": 1.0, "unit": "Å"}}}
    twin.add({"fit": fit}, numbers=dict([parse_number("thickness=55Å")]))
    assert rows(twin)[-1]["thickness [Å]"] == 40 and rows(twin)[-1]["thickness [Å] given"] == 55


def aged(tmp_path):
    """Three cycles with x, voltage and capacity, and a fitted thickness at each."""
    twin = made(tmp_path)
    for cycle, (x, voltage, capacity, thick) in enumerate(
        [(1.0, 3.9, 155, 50), (0.75, 4.0, 150, 48), (0.5, 4.2, 141, 45)]
    ):
        numbers = dict(
            map(parse_number, (f"cycle={cycle}", f"x={x}", f"voltage={voltage}V", f"capacity={capacity}mAh/g"))
        )
        fit = {"parameters": {"thickness": {"value": thick, "error": 1.5, "unit": "Å"}}}
        said = {"fit": fit, "measurements": [{"source": {"path": f"{cycle}.dm4", "sha256": f"{cycle:064d}"}}]}
        pictures = {"measured": np.random.default_rng(cycle).random((20, 30))}
        twin.add(said, numbers=numbers, at=datetime(2026, 1, 2 + cycle, tzinfo=UTC), pictures=pictures)
    return twin


def test_exports(tmp_path):
    """A table of states, numbers and fits; part of a BPX file that its own reader takes; a page with every line."""
    twin = aged(tmp_path)
    code, _, said = invoke("export", twin.folder, "-o", tmp_path / "twin.csv")
    assert code == 0, said
    with open(tmp_path / "twin.csv") as stream:
        table = list(csv.DictReader(stream))
    assert [row["thickness [Å]"] for row in table] == ["", "50", "48", "45"]
    assert table[3]["capacity [mAh/g]"] == "141.0" and table[3]["thickness error [Å]"] == "1.5"
    assert rows(twin)[3]["cycle"] == 2
    told = bpx(twin)
    electrode = told["Parameterisation"]["Positive electrode"]
    assert electrode["OCP [V]"] == {"x": [0.5, 0.75, 1.0], "y": [4.2, 4.0, 3.9]}
    # 3 LiCoO2 in the hexagonal cell of a 2.8 Å, c 14.05 Å (5.05 g/cm³ over 97.87 g/mol)
    assert electrode["Maximum concentration [mol.m-3]"] == pytest.approx(5.05e6 / 97.87, rel=0.03)
    reader = pytest.importorskip("bpx")
    rest = {
        "Particle radius [m]": 5.86e-6,
        "Surface area per unit volume [m-1]": 382184,
        "Diffusivity [m2.s-1]": 3.3e-14,
        "Reaction rate constant [mol.m-2.s-1]": 1e-10,
        "Thickness [m]": 75e-6,
    }
    told["Parameterisation"]["Positive electrode"] = {**electrode, **rest}
    read = reader.parse_bpx_obj(json.loads(json.dumps(told)))
    assert read.parameterisation.positive_electrode.ocp.x == [0.5, 0.75, 1.0]
    assert told["Parameterisation"]["User-defined"]["capacity [mAh/g] against cycles"]["y"] == [155, 150, 141]


def test_the_page_shows_every_line(tmp_path):
    twin = aged(tmp_path)
    assert [line.name for line in lines(twin)] == ["cycle", "x", "voltage", "capacity", "thickness, fitted"]
    (thick,) = [line for line in lines(twin) if "thickness" in line.name]
    assert thick.values == [50, 48, 45] and thick.errors == [1.5] * 3
    page = write_page(twin)
    assert page.count("<img ") == 4 and "2.dm4" in page and "http" not in page


def test_a_unit_that_looks_like_a_formula(tmp_path):
    twin = made(tmp_path, numbers=dict([parse_number(r"r=5$\bad{$")]))
    assert "<figure>" in write_page(twin)


def test_bpx_needs_voltages_at_states(tmp_path):
    with pytest.raises(InputError, match="x and voltage together"):
        bpx(made(tmp_path))


def test_the_command_line(tmp_path, rng):
    """Made, added to by files and by the folder of a fit, shown; a structure is copied and checked."""
    twin, file = tmp_path / "twin", tmp_path / "one.dm3"
    write_dm3(file, image(rng, 100), 0.01, 80e3, 4.0)
    assert invoke("init", twin, Path(__file__).parents[2] / "examples" / "LiCoO2.cif", "--name", "pouch 7")[0] == 0
    code, out, said = invoke(
        "add", twin, file, "--number", "x=0.5", "--note", "after charge", "--at", "2026-05-04T15:30"
    )
    assert code == 0 and "after charge" in out, said
    digest = json.loads(invoke("show", twin, "--json")[1])["entries"][1]["measurements"][0]["source"]["sha256"]
    fit = tmp_path / "fit"
    fit.mkdir()
    parameters = {"thickness": {"value": 52.0, "error": 1.0, "unit": "Å"}}
    source = {"source": {"path": str(file), "sha256": digest}}
    (fit / "record.json").write_text(json.dumps({"fits": {"one": {"measurement": source, "parameters": parameters}}}))
    code, out, said = invoke("add", twin, "--fit", fit)
    assert code == 0 and "thickness 52 ± 1 Å" in out, said
    code, out, _ = invoke("show", twin)
    assert code == 0 and "pouch 7: 3 entries" in out and "2026-05-04" in out
    assert Twin.open(twin).structure().endswith("0001-LiCoO2.cif")
    Path(Twin.open(twin).structure()).write_text("changed")
    with pytest.raises(InputError, match="missing or changed"):
        Twin.open(twin).structure()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "{}/none"], "no twin; make one"),
        (["init", "{}/twin", "LiCoO2"], "holds something"),
        (["init", "{}/new", "LiCoO3"], "LiCoO3"),
        (["add", "{}/twin"], "nothing to add"),
        (["add", "{}/twin", "--number", "x=2"], "between 0 and 1"),
        (["add", "{}/twin", "--number", "x=0", "--number", "x=1"], "a name stands twice"),
        (["add", "{}/twin", "--note", "a", "--at", "noon"], "expected a time"),
        (["add", "{}/twin", "--note", "a", "--at", "0001-01-01"], "from 1900 to 2200"),
        (["add", "{}/twin", "--fit", "{}"], "no result of rhotem fit"),
        (["add", "{}/twin", "{}/none.dm3"], "no such file"),
        (["show", "{}/twin", "--revision", "7"], "no revision 7"),
        (["export", "{}/twin", "-o", "{}/twin.pdf"], "expected .html, .csv, .json"),
        (["watch", "{}/twin", "{}/none"], "no such folder"),
        (["watch", "{}/twin", "{}", "--zone", "1,1"], "zone"),
    ],
)
def test_bad_input_in_one_line(tmp_path, arguments, words):
    made(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, _, said = invoke(*(a.format(tmp_path) for a in arguments))
    assert code == 2 and words in said and len(said.strip().splitlines()) == 1, said
    assert sorted(tmp_path.rglob("*")) == before


def test_two_watchers_are_one_too_many(tmp_path):
    twin = made(tmp_path)
    with locked(twin.folder / WATCHES):
        code, _, said = invoke("watch", twin.folder, tmp_path, "--no-fit")
    assert code == 2 and "another run watches" in said


@pytest.mark.slow
def test_a_pattern_of_a_session_is_fitted(tmp_path):
    """The measured pattern comes while the watcher runs; its thickness is its label's, 61 to 63 nm."""
    session = tmp_path / "session"
    session.mkdir()
    assert invoke("init", tmp_path / "twin", "SrTiO3")[0] == 0
    command = [sys.executable, "-m", "rhotem.cli.main", "twin", "watch", tmp_path / "twin", session, "--zone", "0,0,1"]
    command += ["--energy-keV", "200", "--convergence-mrad", "13.6", "--source", "free-atoms", "--phonons", "1"]
    command += ["--thickest", "68", "--mistilt", "1", "--every", "0.2", "--idle", "3", "--quiet"]
    run = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    shutil.copy(PATTERN, session / "p.png")
    out, said = run.communicate(timeout=600)
    assert run.returncode == 0 and "1 new" in out, said
    entry = Twin.open(tmp_path / "twin").entries[-1]
    assert 0.1 * entry.parameters["thickness"]["value"] == pytest.approx(62.0, abs=1.5)
    assert set(Twin.open(tmp_path / "twin").pictures(entry)) == {"measured", "simulated"}


@pytest.mark.slow
def test_images_of_a_session_share_one_response(tmp_path, rng, monkeypatch):
    """Two dark fields of 3.9 nm SrTiO3, turned by 0 and 12 degrees: one propagation, a lattice for each."""
    from scipy.ndimage import map_coordinates

    from rhotem.analysis import run
    from rhotem.experiment.twin import fitters

    settings = {"energy": 200.0, "convergence": 18.0, "defocus": 1.0, "source_size": 0.8}
    preset = run.adjusted_preset("layered-oxide", **settings, detectors=["ADF=40-90"])
    cut = run.specimen(run.structure("SrTiO3"), zone=(0, 0, 1), thickness=3.9, preset=preset)
    shown = run.image(cut, run.potential(cut, run.density(cut, "free-atoms"), phonons=0)).resampled(0.05)
    made, session = [], tmp_path / "session"
    session.mkdir()
    real = fitters.response_for
    monkeypatch.setattr(fitters, "response_for", lambda *given, **more: made.append(1) or real(*given, **more))
    row, column = np.indices((120, 120)) * 0.3
    step = [length / n for length, n in zip(shown.scan.size, shown["ADF"].shape, strict=True)]
    for name, degrees in (("a", 0.0), ("b", 12.0)):
        turn = np.deg2rad(degrees)
        x, y = np.cos(turn) * column - np.sin(turn) * row + 0.7, np.sin(turn) * column + np.cos(turn) * row + 1.3
        seen = map_coordinates(shown["ADF"], [x / step[0], y / step[1]], order=3, mode="grid-wrap")
        np.save(session / f"{name}.npy", rng.poisson(2e4 * np.maximum(seen, 0)).astype(np.int32))
    assert invoke("init", tmp_path / "twin", "SrTiO3")[0] == 0
    arguments = [tmp_path / "twin", session, "--zone", "0,0,1", "--kind", "image", "--pixel-A", 0.3, "--counts"]
    arguments += ["--energy-keV", 200, "--convergence-mrad", 18, "--detector", "ADF=40-90", "--source", "free-atoms"]
    arguments += ["--phonons", 0, "--thickest", 5.5, "--foci=-1,3", "--astigmatism", 0, "--every", 0.1, "--idle", 0.3]
    code, out, said = invoke("watch", *arguments, "--quiet")
    assert code == 0 and "2 new" in out and made == [1], said
    for entry in Twin.open(tmp_path / "twin").entries[1:]:
        found = entry.parameters["thickness"]
        assert found["value"] == pytest.approx(39.0, abs=3 + 3 * found["error"])


def test_an_image_of_another_voltage_is_not_fitted_with_the_first_response(monkeypatch):
    """Energy and aperture of a session were those of its first file, whatever a later one said."""
    from rhotem.experiment.measurement import Axis, Measurement, Source
    from rhotem.experiment.twin import fitters

    class Reached(Exception):
        pass

    def reached(*given):
        raise Reached

    axes = (Axis("y", "Å", 0.2), Axis("x", "Å", 0.2))
    first, other, wide = (
        Measurement(np.eye(8), "image", axes, energy, angle, source=Source(name, ""))
        for name, energy, angle in (("a.npy", 200.0, 18.0), ("b.npy", 300.0, 18.0), ("c.npy", 200.0, 25.0))
    )
    monkeypatch.setattr(fitters, "recordings", reached)
    fitter = fitters.ImageFitter(lambda energy, angle: None, None, None, (first, None, None))
    for measurement in (other, wide):
        with pytest.raises(InputError, match=f"{measurement.source.path}: recorded"):
            fitter.fit(measurement)
    with pytest.raises(Reached):
        fitter.fit(first)


def changed(entry: Path, said: dict[str, object]) -> None:
    """An entry of an earlier RhoTEM, without checksum, with other blocks."""
    blocks = yaml.safe_load(entry.read_text())
    blocks.pop(SEAL, None)
    entry.write_text(yaml.safe_dump(blocks | said, sort_keys=False))


def test_a_number_changed_by_hand_is_told_of(tmp_path):
    """3.9 V made 39 V went into tables and BPX without a word."""
    assert invoke("init", tmp_path / "twin", "SrTiO3")[0] == 0
    assert invoke("add", tmp_path / "twin", "--number", "x=0.5", "--number", "voltage=3.9V")[0] == 0
    entry = tmp_path / "twin" / "entries" / "0002.yaml"
    whole = entry.read_text()
    entry.write_text(whole.replace("3.9", "39"))
    code, _, said = invoke("show", tmp_path / "twin")
    assert code == 2 and "0002.yaml: changed since it was written" in said and len(said.splitlines()) == 1
    entry.write_text(whole + "note: mine\n")
    assert invoke("show", tmp_path / "twin")[0] == 2
    entry.write_text(whole)
    assert invoke("show", tmp_path / "twin")[0] == 0


@pytest.mark.parametrize(
    "said",
    [
        {"numbers": {"x": {"value": float("nan"), "unit": ""}}},
        {"numbers": {"x": {"value": 55.0, "unit": ""}}},
        {"numbers": {"voltage": {"value": 3900.0, "unit": "mV"}}},
        {"fit": {"parameters": {"thickness": {"value": "abc", "error": 1.0, "unit": "nm"}}}},
        {"fit": {"parameters": {"thickness": {"value": 3.0, "unit": "nm"}}}},
        {"fit": [1, 2]},
        {"measurements": [{}]},
        {"refused": "no"},
        {"structure": "SrTiO3"},
    ],
)
def test_entries_of_another_shape_are_one_line(tmp_path, said):
    """Each was a traceback of show, export or add, or a number that cannot be."""
    assert invoke("init", tmp_path / "twin", "SrTiO3")[0] == 0
    assert invoke("add", tmp_path / "twin", "--number", "x=0.5")[0] == 0
    entry = tmp_path / "twin" / "entries" / "0002.yaml"
    changed(entry, {})
    assert invoke("show", tmp_path / "twin")[0] == 0  # of an earlier RhoTEM
    changed(entry, said)
    code, _, told = invoke("show", tmp_path / "twin")
    assert code == 2 and "is no entry of a twin" in told and len(told.splitlines()) == 1


def test_the_picture_of_a_stack_is_that_of_its_good_frames(tmp_path, rng):
    """A burnt frame of three was a third of the picture; `rhotem read` left it out."""
    frames = rng.poisson(100.0, (3, 20, 30)).astype(float)
    frames[1] = np.minimum(20 * frames[1], 1900)
    np.save(tmp_path / "a.npy", frames)
    shown = measured.picture(read_measurement(tmp_path / "a.npy", Stated(kind="image stack")))
    assert np.allclose(shown, frames[[0, 2]].mean(axis=0))
