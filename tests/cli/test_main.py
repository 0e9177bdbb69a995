"""The command line: errors are one line, interruption leaves nothing, options mean what they say."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from rhotem.analysis import PHONONS, run
from rhotem.cli import common, doctor, main
from rhotem.core import InputError
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan

RHOTEM = [sys.executable, "-m", "rhotem.cli.main"]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """A command `doctor` whose behaviour the test chooses, in place of the real one."""
    import rhotem.cli.doctor

    app = typer.Typer()
    monkeypatch.setattr(rhotem.cli.doctor, "app", app)
    return app


def invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main.app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_help_lists_commands_without_importing_them():
    code = (
        "import sys; from typer.testing import CliRunner; from rhotem.cli import main;"
        "print(CliRunner().invoke(main.app, ['--help']).stdout);"
        "print([m for m in sys.modules if m.split('.')[0] in ('numpy', 'scipy', 'ase', 'matplotlib', 'abtem')])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert answer.strip().endswith("[]")
    for name in main.COMMANDS:
        if (Path(main.__file__).parent / f"{name.replace('-', '_')}.py").exists():
            assert f" {name} " in answer


def test_every_command_has_an_app_and_help():
    for path in Path(main.__file__).parent.glob("*.py"):
        if path.stem not in (
            "__init__",
            "main",
            "common",
            "options",
            "measurement",
            "searched",
            "examples",
            "hints",
        ):  # what commands are made of
            name = path.stem.replace("_", "-")
            assert name in main.COMMANDS, f"{path.name} is not in the table of commands"
            code, out, err = invoke(name, "--help")
            assert code == 0, err
            assert "Usage: " in out and f" {name} " in out


@pytest.mark.parametrize(
    "arguments, word",
    [(["nonsense"], "nonsense"), (["doctr"], "doctor"), (["doctor", "--no-such"], "--no-such"), (["doctor", "x"], "x")],
)
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], word: str):
    code, out, err = invoke(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and word in err


def test_bad_input_is_one_line_and_code_2(command: typer.Typer):
    @command.command()
    def fail() -> None:
        raise InputError("thickness -1 nm:\n  expected a positive one")

    assert invoke("doctor") == (2, "", "error: thickness -1 nm: expected a positive one\n")


@pytest.mark.parametrize("error", [MemoryError("8 GB"), OSError(28, "No space left on device", "/x")])
def test_a_full_machine_is_no_defect(command: typer.Typer, error: Exception):
    @command.command()
    def fail() -> None:
        raise error

    code, _, err = invoke("doctor")
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1


def test_defect_is_reported_as_one_with_code_1(command: typer.Typer, monkeypatch, capsys):
    @command.command()
    def fail() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(sys, "argv", ["rhotem", "doctor"])
    with pytest.raises(SystemExit) as exit_:
        main.run()
    assert exit_.value.code == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError: by zero" in err and "rhotem --traceback doctor" in err and "Traceback" not in err
    monkeypatch.setattr(sys, "argv", ["rhotem", "--traceback", "doctor"])
    with pytest.raises(ZeroDivisionError):
        main.run()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_nothing(tmp_path: Path, number: int):
    script = tmp_path / "slow.py"
    script.write_text(
        "import signal, sys, time, pathlib, typer, rhotem.cli.doctor as d\n"
        # A shell starts background jobs deaf to Ctrl-C, and the test suite may be one.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from rhotem.cli import common, main\n"
        "d.app = typer.Typer()\n"
        "@d.app.command()\n"
        "def slow():\n"
        "    with common.output_folder(pathlib.Path('results')) as folder:\n"
        "        (folder / 'half.png').write_text('half')\n"
        "        print('working', flush=True)\n"
        "        time.sleep(30)\n"
        "sys.argv = ['rhotem', 'doctor']\n"
        "main.run()\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "working\n"
    started = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - started < 10
    assert process.returncode == 130 and err.startswith("interrupted") and err.count("\n") == 1
    assert os.listdir(tmp_path) == ["slow.py"]


def test_version():
    import rhotem

    assert invoke("--version") == (0, f"rhotem {rhotem.__version__}\n", "")


@pytest.mark.parametrize(
    "text, indices",
    [
        ("1,1,0", (1, 1, 0)),
        ("1 1 0", (1, 1, 0)),
        ("[1-10]", (1, -1, 0)),
        ("110", (1, 1, 0)),
        ("-1,0,12", (-1, 0, 12)),
        ("[2-1-10]", (2, -1, -1, 0)),
        ("(0 0 0 1)", (0, 0, 0, 1)),
        ("1−10", (1, -1, 0)),
    ],
)
def test_indices(text: str, indices: tuple[int, ...]):
    assert common.parse_indices(text) == indices


@pytest.mark.parametrize("text", ["", "1,1", "1,1,0.5", "a,b,c", "1,2,3,4,5", "11x", "1,,0", "--1"])
def test_indices_that_are_none(text: str):
    with pytest.raises(InputError, match="three or four"):
        common.parse_indices(text)


@pytest.mark.parametrize(
    "text, size",
    [("4GB", 4 * 10**9), ("500 MB", 5 * 10**8), ("1.5GiB", 3 * 2**29), ("2g", 2 * 10**9), ("1tb", 10**12)],
)
def test_memory(text: str, size: int):
    assert common.parse_memory(text) == size


@pytest.mark.parametrize("text", ["4", "GB", "-1GB", "0GB", "four GB", "1e3MB"])
def test_memory_without_meaning(text: str):
    with pytest.raises(InputError, match="unit"):
        common.parse_memory(text)


def test_results_appear_complete_or_not_at_all(tmp_path: Path):
    target = tmp_path / "new" / "results"
    with pytest.raises(RuntimeError), common.output_folder(target) as folder:
        (folder / "a.png").write_text("a")
        raise RuntimeError
    assert os.listdir(tmp_path) == []
    with common.output_folder(target) as folder:
        (folder / "a.png").write_text("a")
        assert not target.exists()
    assert os.listdir(target) == ["a.png"] and os.listdir(target.parent) == ["results"]


def test_newer_results_replace_older_ones_only(tmp_path: Path):
    with common.output_folder(tmp_path / "out") as folder:
        (folder / "old.png").write_text("old")
        (folder / "cube.zarr").mkdir()
        common.write_record(folder, {})
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with common.output_folder(tmp_path / "out") as folder:
        (folder / "new.png").write_text("new")
        record = common.write_record(folder, {})
    assert sorted(os.listdir(tmp_path / "out")) == ["new.png", "notes.txt", "record.json"]
    assert record["files"] == ["new.png", "record.json"]


def test_a_record_cannot_make_us_delete_elsewhere(tmp_path: Path):
    (tmp_path / "precious.txt").write_text("x")
    names = ["../precious.txt", str(tmp_path / "precious.txt"), "..", ".", "", 3]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "record.json").write_text(json.dumps({"format": "rhotem-record", "files": names}))
    with common.output_folder(tmp_path / "out") as folder:
        (folder / "new.png").write_text("new")
    assert (tmp_path / "precious.txt").exists()


def test_single_files_are_replaced_whole(tmp_path: Path):
    target = tmp_path / "rho.cube"
    target.write_text("old")
    with pytest.raises(RuntimeError), common.output_file(target) as path:
        path.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["rho.cube"]
    with common.output_file(target) as path:
        assert path.suffix == ".cube"
        path.write_text("new")
    assert target.read_text() == "new" and os.listdir(tmp_path) == ["rho.cube"]


def test_places_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/rhotem/out")):
        with pytest.raises(InputError, match=r"folder|cannot write"), common.output_folder(target):
            pytest.fail("not reached")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_write_permission(tmp_path: Path):
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="Permission denied"), common.output_folder(tmp_path / "out"):
        pytest.fail("not reached")


def test_records_are_plain_json(tmp_path: Path):
    record = common.write_record(
        tmp_path, {"a": np.arange(3), "b": np.float32(0.5), "c": {"path": Path("x")}, "d": float("nan"), "e": (1, 2)}
    )
    read = json.loads((tmp_path / "record.json").read_text())
    assert read["a"] == [0, 1, 2] and read["b"] == 0.5 and read["c"] == {"path": "x"}
    assert read["d"] is None and read["e"] == [1, 2]
    assert read["versions"]["numpy"] == np.__version__ and read["format_version"] == record["format_version"]


def test_doctor_plans_what_is_run():
    """Memory of the plan of `rhotem image`, that of the potential finer than the waves included."""
    cut = run.specimen(run.structure("LiF"), thickness=0.4)
    potential = next(iter(run.potential(cut, run.density(cut), phonons=0)))
    microscope = cut.preset.microscope
    scan = Scan.cell(potential.extent, microscope)
    plan = make_plan(potential, microscope, scan, cut.preset.detectors, configurations=PHONONS)
    assert doctor._cost(cut, 0.0, 1e10)["memory_bytes"] == pytest.approx(plan.memory)


@pytest.mark.slow
def test_doctor_reports_what_is_installed():
    import scipy

    code, out, err = invoke("doctor", "--json", "--seconds", "0.1")
    assert code == 0, err
    report = json.loads(out)
    assert report["packages"]["scipy"] == scipy.__version__
    assert report["device"]["cores"] >= 1 and report["device"]["memory_bytes"] > 1e8
    assert report["speed"]["fft_million_pixels_per_second"] > 0.1
    assert {"free-atoms", "file", "gpaw"} <= set(report["sources"])
    assert [n for n, p in report["presets"].items() if p["default"]] == ["layered-oxide"]
    assert all(p["runs"] and p["seconds"] > 0 for p in report["presets"].values())
    assert report["models"]["default"]["name"]


def test_the_package_is_the_command(tmp_path: Path) -> None:
    """`python -m rhotem` works where the folder of commands is not on the path."""
    done = subprocess.run([sys.executable, "-m", "rhotem", "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("rhotem ")


def test_two_runs_into_one_folder(tmp_path: Path) -> None:
    """The second is refused while the first is at work; a killed one leaves neither its place nor its files."""
    first = (
        "import pathlib, time\nfrom rhotem.core.output import output_folder\n"
        "with output_folder(pathlib.Path('results')) as folder:\n"
        "    (folder / 'a.txt').write_text('a')\n    print('in', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", first], cwd=tmp_path, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"in\n"
        with (
            pytest.raises(InputError, match="another run is writing there"),
            common.output_folder(tmp_path / "results"),
        ):
            pass
        running.kill()
    with common.output_folder(tmp_path / "results-2"), common.output_folder(tmp_path / "results") as folder:
        (folder / "b.txt").write_text("b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results", "results-2"]
