"""The runner with a stand-in for the DFT worker: what is done, once, whoever is killed when."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from ase.build import bulk

from rhotem.core import RhoTEMError
from rhotem.labels import runner
from rhotem.labels.job import Job
from rhotem.labels.read import read_label
from rhotem.labels.runner import run
from rhotem.structure.model import Structure

#: Python that replaces the DFT by an analytic label and 0.1 s of waiting, then goes on as the real worker does.
STAND_IN = """
import sys, time, importlib.util
import rhotem.labels.calculate as calculate
spec = importlib.util.spec_from_file_location("helper", {helper!r})
helper = importlib.util.module_from_spec(spec); spec.loader.exec_module(helper)
def fake(job, log, attempts=4, told=None):
    time.sleep(0.1)
    if job.charge == 5: raise calculate.ConvergenceError("no self-consistency")
    if job.charge == 6: sys.exit(1)
    if job.charge == 7:
        while True: pass
    return helper.dipole_label(a=float(job.structure.cell[0][1]) * 2, job=job.id)
calculate.calculate = fake
sys.argv[0] = "worker"
import runpy
runpy.run_module("rhotem.labels.worker", run_name="__main__")
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Make the runner start the stand-in: a `python` that runs it instead of the worker module."""
    script = tmp_path / "standin.py"
    helper = os.path.join(os.path.dirname(__file__), "conftest.py")
    script.write_text(STAND_IN.format(helper=helper))
    shim = tmp_path / "python"
    shim.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {script} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setattr(runner.sys, "executable", str(shim))
    return shim


def job(i: int, charge: float = 0.0) -> Job:
    return Job.of(Structure(bulk("LiF", "rocksalt", a=4.0 + 0.01 * i), charge=charge))


def events(directory) -> list[dict]:
    return [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]


def test_done_failed_and_done_before(stand_in, tmp_path):
    jobs = [job(0), job(1, 5), job(2)]
    assert run(tmp_path, jobs) == {"done": 2, "failed": 1}
    assert run(tmp_path, jobs) == {"done before": 2, "failed before": 1}
    assert run(tmp_path, jobs, retry_failed=True) == {"done before": 2, "failed": 1}
    failure = json.loads((tmp_path / "failed" / f"{jobs[1].id}.json").read_text())
    assert failure["reason"] == "no self-consistency"
    assert not list((tmp_path / "scratch").iterdir())


def test_processor_time_is_limited(stand_in, tmp_path, monkeypatch):
    # the limit on the clock, for what hangs, must not come first here; starting takes 2 s on a busy machine
    monkeypatch.setattr(runner, "WALL", 100)
    assert run(tmp_path, [job(0, 7), job(1)], time_limit=5) == {"failed": 1, "done": 1}
    (failure,) = (tmp_path / "failed").glob("*.json")
    assert "processor time" in json.loads(failure.read_text())["reason"]


def test_a_broken_installation_stops_the_campaign_and_blames_no_structure(stand_in, tmp_path):
    with pytest.raises(RhoTEMError, match="died"):
        run(tmp_path, [job(i, 6) for i in range(5)])
    assert not list((tmp_path / "failed").glob("*.json"))


def test_a_worker_whose_runner_died_before_it_began_ends_at_once(tmp_path):
    (tmp_path / "job.json").write_text(job(0).to_json())
    command = [sys.executable, "-m", "rhotem.labels.worker", str(tmp_path), str(tmp_path / "job.json"), "1", "60", "0"]
    assert subprocess.run(command, check=False).returncode == 5
    assert not list(tmp_path.glob("records/*"))


CAMPAIGN = """
import sys; from pathlib import Path
from rhotem.labels import runner; from rhotem.labels.job import read_jobs
runner.sys.executable = sys.argv[2]
runner.run(Path(sys.argv[1]), read_jobs(Path(sys.argv[1]) / "jobs.jsonl"))
"""


@pytest.mark.slow
def test_killed_at_random_three_times(stand_in, tmp_path):
    """Twenty runs, kill -9 of the runner three times: every finished label intact, none done twice."""
    jobs = [job(i) for i in range(20)]
    (tmp_path / "jobs.jsonl").write_text("".join(j.to_json() + "\n" for j in jobs))
    chance = random.Random(7)
    command = [_real_python(), "-c", CAMPAIGN, str(tmp_path), str(stand_in)]
    for _ in range(3):
        process = subprocess.Popen(command)
        time.sleep(chance.uniform(2.0, 5.0))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True)
    assert {p.stem for p in (tmp_path / "records").glob("*.npz")} == {j.id for j in jobs}
    for path in (tmp_path / "records").glob("*.npz"):
        assert read_label(path).meta["job"] == path.stem
    assert not list((tmp_path / "records").glob(".*"))
    done = Counter(e["id"] for e in events(tmp_path) if e["event"] == "done")
    started = Counter(e["id"] for e in events(tmp_path) if e["event"] == "start")
    assert set(done.values()) == {1}
    assert sum(started.values()) <= 20 + 3


def _real_python() -> str:
    return os.path.join(sys.prefix, "bin", "python3")
