"""Work folders: one run at a time, however many start together."""

import errno
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest

from rhotem.core import folders
from rhotem.core.folders import alone, locked


def test_of_runs_that_start_together_one_works(tmp_path):
    """Eight starts at one moment, thirty times: never two inside, always one."""
    barrier, lock = Barrier(8), Lock()
    inside, most, refused = [0], [0], [0]

    def start(_):
        barrier.wait()
        try:
            with alone(tmp_path / "out"):
                with lock:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                barrier.wait()  # nobody leaves before all have tried
                with lock:
                    inside[0] -= 1
        except BlockingIOError:
            with lock:
                refused[0] += 1
            barrier.wait()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(30):
            list(pool.map(start, range(8)))
    assert most[0] == 1 and refused[0] == 30 * 7
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(folders.fcntl is None, reason="Windows locks nothing")
def test_disks_that_lock_no_files_are_worked_on(tmp_path, monkeypatch):
    """Some in networks refuse every lock: both ended as a defect."""

    def refuse(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folders.fcntl, "flock", refuse)
    with alone(tmp_path / "out") as folder, locked(tmp_path / "lock"):
        assert folder.is_dir()
