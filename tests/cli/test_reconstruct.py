"""`rhotem reconstruct` and `rhotem export` by way of files."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli.main import app
from rhotem.microscope.formats.hyperspy import read_hyperspy, write_hyperspy
from rhotem.microscope.formats.signal import Axis, Signal


def disc(angular="mrad"):
    """Patterns of vacuum: a disc of 20 mrad on 12 × 10 positions."""
    k = 2.0 * np.arange(-15, 16)
    pattern = (np.hypot(k[:, None], k[None]) <= 20).astype(np.float32)
    axes = (
        Axis("x", "Å", 12, 0.2),
        Axis("y", "Å", 10, 0.2),
        Axis("kx", angular, 31, 2.0, -30.0),
        Axis("ky", angular, 31, 2.0, -30.0),
    )
    said = {"energy_keV": 200.0, "convergence_mrad": 20.0}
    return Signal("4D", np.broadcast_to(pattern, (12, 10, 31, 31)).copy(), axes, "", said)


@pytest.fixture
def run(tmp_path):
    write_hyperspy(disc(), tmp_path / "4D.hspy")
    return tmp_path


def call(*words):
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False, standalone_mode=False)


def test_vacuum_has_no_phase_and_a_record(run):
    call("reconstruct", run, "--out", run / "phase", "--defocus", 3, "-q")
    made = read_hyperspy(run / "phase" / "SSB.hspy")
    assert made.unit == "rad" and np.abs(made.data).max() < 1e-6 and (run / "phase" / "SSB.png").is_file()
    record = json.loads((run / "phase" / "record.json").read_text())
    assert record["optics"]["defocus"] == 30.0 and record["method"]["kind"] == "ssb"


def test_a_rotation_that_is_no_number_is_refused(run):
    result = call("reconstruct", run, "--out", run / "turned", "--rotation", "nan", "-q")
    assert result.exit_code == 2 and "--rotation nan" in result.output and not (run / "turned").exists()


def test_export_writes_every_signal_and_a_record(run):
    call("export", run, "--to", "emd", "--out", run / "emd", "-q")
    assert {path.name for path in (run / "emd").iterdir()} == {"4D.emd", "record.json"}


def test_patterns_without_scale_are_refused(tmp_path):
    write_hyperspy(disc(angular=""), tmp_path / "4D.hspy")
    result = call("reconstruct", tmp_path, "--out", tmp_path / "phase")
    assert result.exit_code == 2 and "axis kx has no scale in mrad" in result.output
    assert not (tmp_path / "phase").exists()
