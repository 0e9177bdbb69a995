"""One small entry, made once: LiF at rest, two thicknesses, and a copy of it that says another density."""

import asyncio
import json
import shutil
import threading

import numpy as np
import pytest

from rhotem.analysis.plan import Plan
from rhotem.library.density.summary import Summary
from rhotem.library.view.make import Span, make_entry
from rhotem.scattering.response import Range

PLAN = Plan(
    specimen={"structure": "LiF", "zone": (1, 0, 0)},
    density={"source": "free-atoms"},
    motion={"phonons": 0},
    microscope={"detectors": ["ADF=30-60", "ABF=11-22", "DPC=6-22", "CoM=30"]},
)
SPAN = Span(
    (0.4, 0.8),
    Range(defocus=(-10, 20), aberrations={"C12": 5, "C21": 60, "C30": 1e4}, convergence=19),
    edges=(40.0, 50.0),
    patterns=30.0,
)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    make_entry(PLAN, folder / "lif", SPAN)
    shutil.copytree(folder / "lif", folder / "twin")
    path = folder / "twin" / "record.json"
    record = json.loads(path.read_text())
    record["density"]["source"] = record["plan"]["density"]["source"] = "model"
    path.write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="session")
def wave():
    """A summary whose density is 0.25 cos 2πx/a e/Å³ and whose error bar 0.4 cos² V, of an imaging cell's sides."""

    def of(extent):
        n = 16
        x = np.cos(2 * np.pi * np.arange(n) / n)
        bars = 0.4 * np.cos(np.pi * np.arange(2 * n) / (2 * n)) ** 2
        density = np.broadcast_to(0.25 * x[:, None, None], (n, n, n))
        return Summary(
            cell=4.03 * np.eye(3),
            named=4.03 * np.eye(3),
            numbers=np.array([3, 9]),
            positions=np.array([[0.0, 0, 0], [2.015, 2.015, 2.015]]),
            difference=density,
            error=np.full((n, n, n), 0.01),
            potential=np.zeros((2 * n, 2 * n)),
            potential_error=np.broadcast_to(bars[:, None], (2 * n, 2 * n)),
            extent=extent,
            source="model",
        )

    return of


@pytest.fixture(scope="session")
def serve():
    """A context in which entries are served; gives the address."""
    return Served


class Served:
    """A server of the page in a thread."""

    def __init__(self, entries):
        self.entries, self.address, self._ready = entries, "", threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(60)
        return self.address

    def __exit__(self, *error):
        self._loop.add_callback(self._loop.stop)
        self._thread.join(20)

    def _run(self):
        from tornado.ioloop import IOLoop

        from rhotem.library.view.server import make_server

        asyncio.set_event_loop(asyncio.new_event_loop())
        server, self.address = make_server(self.entries, port=0)
        self._loop = IOLoop.current()
        server.start()
        self._loop.add_callback(self._ready.set)
        self._loop.start()
        server.stop()


@pytest.fixture(scope="session")
def address(library):
    from rhotem.library.view.entries import entries_in

    with Served(entries_in(library)) as there:
        yield there
