"""Slices from the workers of a cluster are those made here, also when a worker is killed."""

import os
import signal

import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.stream import streamed
from rhotem.potential import stream_job
from rhotem.potential.files import read_potential
from rhotem.potential.stream import stream_potential

from .test_stream import CELL, field

distributed = pytest.importorskip("distributed")


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(tmp_path):
    density, grid = streamed(field()), PeriodicGrid(CELL, (48, 50, 14))
    here = read_potential(stream_potential(density, grid, tmp_path / "here.zarr", memory_limit=LITTLE)).array
    killed, stages = [], []
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": "ERROR"}
    with distributed.LocalCluster(**options) as cluster:
        with distributed.Client(cluster) as client:
            processes = client.run(os.getpid)
            # modules loaded, so that both workers are at work when one is lost
            client.run(__import__, stream_job.__name__)

        def progress(stage: str, done: int, total: int) -> None:
            stages.append((stage, total))
            if stage in ("density by planes", "potential") and done == 1 and stage not in killed:
                killed.append(stage)
                os.kill(sorted(processes.values())[len(killed) - 1], signal.SIGKILL)

        path = tmp_path / "there.zarr"
        options = {"memory_limit": LITTLE, "scheduler": cluster.scheduler_address, "progress": progress}
        there = read_potential(stream_potential(density, grid, path, **options)).array
    np.testing.assert_array_equal(there, here)
    assert killed == ["density by planes", "potential"]
    assert dict(stages)["density by planes"] > 4  # there was work left to lose
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["here.zarr", "there.zarr"]


#: Makes pieces of a few planes.
LITTLE = 2.5e5


def test_pieces_of_little_memory_are_small():
    density, grid = streamed(field()), PeriodicGrid(CELL, (48, 50, 14))
    job = stream_job.StreamJob(density, grid, "pbe", np.dtype(np.complex64), None, 1e5)
    assert len(job.planes) > 4 and len(job.slices) > 1
    for blocks, number in ((job.planes, 32), (job.rows, 24), (job.slices, 14)):
        assert [k for block in blocks for k in block] == list(range(number))


def test_no_scheduler_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("rhotem.core.tasks.PATIENCE", 1)
    density, grid = streamed(field(one_centre=False)), PeriodicGrid(CELL, (48, 50, 14))
    with pytest.raises(InputError, match="no Dask scheduler answers"):
        stream_potential(density, grid, tmp_path / "v.zarr", scheduler="tcp://127.0.0.1:9")
    assert not list(tmp_path.iterdir())
