import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from rhotem.core.claims import STALE, Claim, is_held

HOLDER = """
import sys, time
from pathlib import Path
from rhotem.core.claims import Claim
print(Claim(Path(sys.argv[1])).acquire(), flush=True)
time.sleep(60)
"""


def test_only_one_holds_a_claim(tmp_path):
    first, second = Claim(tmp_path / "c.json"), Claim(tmp_path / "c.json")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_claim_of_a_killed_process_is_taken_over(tmp_path):
    path = tmp_path / "c.json"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "True"
    assert is_held(path)
    assert not Claim(path).acquire()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not is_held(path)
    mine = Claim(path)
    assert mine.acquire()
    mine.release()


@pytest.mark.parametrize(("age", "held"), [(0.0, True), (STALE + 10, False)])
def test_claim_of_another_machine_lives_by_its_heartbeat(tmp_path, age, held):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"host": socket.gethostname() + "-other", "pid": 1, "started": 1.0, "at": 0}))
    os.utime(path, (time.time() - age,) * 2)
    assert is_held(path) is held


def test_many_takers_of_one_dead_claim(tmp_path):
    """Of twelve processes that find a dead claim at once, exactly one gets it."""
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": 2**22 + 1, "started": 1.0, "at": 0}))
    go = tmp_path / "go"
    code = (
        "import sys, time; from pathlib import Path; from rhotem.core.claims import Claim\n"
        "while not Path(sys.argv[2]).exists(): time.sleep(0.001)\n"
        "print(Claim(Path(sys.argv[1])).acquire(), flush=True); time.sleep(2)"
    )
    takers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(go)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    time.sleep(1.0)
    go.touch()
    assert sorted(t.communicate()[0].strip() for t in takers) == ["False"] * 5 + ["True"]


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"host": "h", "pid": "x", "started": 1}', "[" * 10**5])
def test_a_damaged_claim_is_nobodys(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_text(content)
    assert not is_held(path)
    claim = Claim(path)
    assert claim.acquire() and is_held(path)
    claim.release()


def test_a_claim_with_an_impossible_process_is_dead(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": 10**30, "started": 1.0}))
    assert not is_held(path)


def test_ages_are_those_of_the_disk_whatever_the_clock_of_this_host_says(tmp_path, monkeypatch):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": 1.0}))
    now = time.time()
    monkeypatch.setattr("rhotem.core.claims.time.time", lambda: now + 10 * STALE)
    assert is_held(path) and not Claim(path).acquire()
    os.utime(path, (now + 2 * STALE, now + 2 * STALE))  # the disk's clock was put back, and nobody beats
    assert not is_held(path)
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]


def test_who_was_taken_for_dead_does_not_give_back_what_another_holds(tmp_path):
    path = tmp_path / "c.json"
    slept, other = Claim(path), Claim(path)
    assert slept.acquire() and slept.held()
    path.unlink()  # taken over
    assert other.acquire()
    path.write_text(path.read_text() + " ")  # of another process
    assert not slept.held()
    slept.release()
    assert path.exists()
