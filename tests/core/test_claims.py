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
