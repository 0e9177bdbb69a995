"""Windows of an image from the workers of a cluster are those made here, also when a worker is killed."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.microscope import window_job
from rhotem.microscope.plan import make_plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Annular, Microscope, Pixelated
from rhotem.microscope.simulate import simulate
from rhotem.microscope.windows import choices
from rhotem.potential.files.own import write_potential
from rhotem.potential.slices import PotentialSlices
from rhotem.potential.stream_read import open_potential

MICROSCOPE = Microscope(energy=200e3, convergence=17.0)
DETECTORS = (Annular(name="ADF", inner=25.0, outer=40.0), Pixelated(name="4D", outer=20.0))


@pytest.fixture
def stored(tmp_path):
    """Two configurations of 48 x 8 Å on disk."""
    rng, found = np.random.default_rng(0), []
    grid = PeriodicGrid(np.diag([48.0, 8.0, 8.0]), (240, 40, 4))
    for number in range(2):
        waves = grid.fourier(rng.normal(size=grid.shape)) * np.exp(-2.0 * grid.g_squared())
        values = np.moveaxis(300.0 * grid.inverse_fourier(waves), 2, 0).astype(np.float32)
        path = tmp_path / f"{number}.zarr"
        write_potential(PotentialSlices(values, grid, 1.0), path)
        found.append(open_potential(path))
    return found


@pytest.mark.slow
def test_a_killed_worker_changes_no_pixel(stored, tmp_path):
    distributed = pytest.importorskip("distributed")
    scan = Scan((60, 10), (48.0, 8.0))
    whole = make_plan(stored[0], MICROSCOPE, scan, DETECTORS, algorithm="bloch")
    plan = replace(whole, windows=None)
    for windows in choices(stored[0].extent, stored[0].wave_grid, 14.0):
        if windows.number == 5:
            plan = replace(whole, windows=windows, extent=windows.size, shape=windows.points, tiling=(1, 2))
    assert plan.windows
    here = simulate(stored, MICROSCOPE, scan, DETECTORS, plan=plan)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": "ERROR"}
    killed = []
    with distributed.LocalCluster(**options) as cluster:
        with distributed.Client(cluster) as client:
            processes = client.run(os.getpid)
            # modules loaded, so that both workers are at work when one is lost
            client.run(__import__, window_job.__name__)

        def progress(stage, done, total):
            if done == 1 and not killed:
                killed.append(stage)
                os.kill(min(processes.values()), signal.SIGKILL)

        how = {"plan": plan, "scheduler": cluster.scheduler_address, "progress": progress}
        there = simulate(stored, MICROSCOPE, scan, DETECTORS, **how)
    assert killed == ["image"]
    np.testing.assert_array_equal(there["ADF"], here["ADF"])
    np.testing.assert_array_equal(there.patterns["4D"], here.patterns["4D"])
    np.testing.assert_array_equal(there.diffraction, here.diffraction)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.zarr", "1.zarr"]
