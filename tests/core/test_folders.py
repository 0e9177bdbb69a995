"""Work folders: one run at a time, however many start together."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

from rhotem.core.folders import alone


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
