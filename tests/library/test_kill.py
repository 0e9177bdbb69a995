"""Whatever is killed at whatever moment: nothing is lost, nothing is there twice, the catalogue is right."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rhotem.library.campaign.ledger import Ledger
from rhotem.library.layout import INCOMING
from rhotem.library.repair import look

HERE = Path(__file__).parent
#: Processes of a driver and its two workers.
AT_ONCE = 2


def start(ledger: Ledger) -> subprocess.Popen:
    """A driver of the campaign, once its library is open."""
    command = [sys.executable, str(HERE / "fake_driver.py"), str(ledger.catalogue.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    return process


def kill_often(ledger: Ledger, kills: int, longest: float, rng: np.random.Generator) -> int:
    """Kill drivers after random times until so many were killed or all is done; how many were."""
    killed = 0
    while killed < kills and ledger.counts()["waiting"]:
        process = start(ledger)
        time.sleep(rng.uniform(0.0, longest))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.communicate()
    return killed


def check(ledger: Ledger, number: int, killed: int) -> None:
    """Finish what is left, and look at everything."""
    process = start(ledger)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert ledger.counts() == {"done": number, "waiting": 0, "failed": 0, "cancelled": 0}
    found = look(ledger.catalogue)
    assert found.clean and found.whole == number
    begun = Counter((ledger.catalogue.folder.parent / "begun.txt").read_text().split())
    again = sum(begun.values()) - number
    assert len(begun) == number and again <= AT_ONCE * killed
    time.sleep(1.5)  # workers notice within a second that their driver is gone
    process = start(ledger)
    process.communicate()
    assert not list((ledger.catalogue.folder / INCOMING).iterdir())


@pytest.mark.slow
def test_drivers_that_are_killed_at_random_moments(campaign, rng):
    number = 240  # tasks of 0.1 s: two workers have work for longer than twelve drivers live, on any machine
    ledger = campaign([f"slow 0.1 {i}" for i in range(number)])
    killed = kill_often(ledger, 12, 2.0, rng)
    assert killed > 5
    check(ledger, number, killed)


def test_a_driver_that_is_killed_once(campaign, rng):
    ledger = campaign([f"slow 0.1 {i}" for i in range(12)])
    process = start(ledger)
    while not ledger.counts()["done"]:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < ledger.counts()["done"] < 12
    check(ledger, 12, 1)
