"""`rhotem read`: what a file is, what is missing, refusals in one line, results with a record."""

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from rhotem.cli import main

MEASURED = Path(__file__).resolve().parent.parent / "data" / "experiment" / "srtio3-haadf_1.ser"


def invoke(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main.app, ["read", *(str(a) for a in arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_a_file_its_lattice_and_what_is_missing(tmp_path: Path):
    code, out, _ = invoke(MEASURED, "--energy-keV", 80, "--structure", "SrTiO3", "--out", tmp_path / "read")
    assert code == 0 and "0.10013 Å" in out and "80 keV" in out and "missing      --convergence-mrad" in out
    assert "the file says 0.10013 Å (-3" in out
    record = json.loads((tmp_path / "read" / "record.json").read_text())
    assert record["measurement"]["energy_keV"] == 80 and record["stated"] == {"energy_keV": 80.0}
    assert len(record["measurement"]["source"]["sha256"]) == 64
    assert 0.095 < record["lattice"]["pixel"]["value"] < 0.099
    assert {"measured.png", "lattice.png", "record.json"} == {p.name for p in (tmp_path / "read").iterdir()}


def test_json_and_refusals(tmp_path: Path):
    assert json.loads(invoke(MEASURED, "--json")[1])["measurement"]["kind"] == "image"
    np.save(tmp_path / "a.npy", np.arange(64.0).reshape(8, 8))
    for arguments, line in (
        ((tmp_path / "a.npy",), "--kind image"),
        ((tmp_path / "a.npy", "--kind", "picture"), "expected image, stack, pattern or 4D"),
        ((tmp_path / "a.npy", "--scan", "8"), "--scan 8"),
        ((tmp_path / "b.npy",), "no such file"),
        ((MEASURED, "--pixel-A", 0.2), "the file says 0.10013 Å"),
        ((MEASURED, "--columns"), "--columns needs"),
        ((MEASURED, "--disc"), "this is an image"),
        ((MEASURED, "--energy-keV", "80 nm"), "expected a number in keV"),
    ):
        code, _, err = invoke(*arguments)
        assert code == 2 and line in err and err.count("\n") == 1


def test_what_is_stated_may_have_its_unit(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.arange(64.0).reshape(8, 8))
    said = ("--energy-keV", "200 kV", "--pixel-A", "0.02nm", "--convergence-mrad", "0.02rad", "--dwell-us", "10 µs")
    said += ("--current-pA", "0.05 nA", "--camera-length-mm", "0.1m", "--kind", "image", "--json")
    record = json.loads(invoke(tmp_path / "a.npy", *said)[1])["stated"]
    assert record == {
        "kind": "image",
        "energy_keV": 200.0,
        "pixel_A": 0.2,
        "convergence_mrad": 20.0,
        "dwell_us": 10.0,
        "current_pA": 50.0,
        "camera_length_mm": 100.0,
    }
