"""A campaign on a Dask cluster whose worker is killed: nothing is lost, nothing is there twice."""

import os
import signal
import threading
import time

import pytest

from rhotem.library.campaign.child import Child
from rhotem.library.campaign.driver import Crew, drive
from rhotem.library.campaign.model import Limits
from rhotem.library.repair import look

distributed = pytest.importorskip("distributed")


@pytest.mark.slow
def test_a_worker_of_a_cluster_is_killed(campaign, worker):
    number, command = 30, worker
    ledger = campaign([f"slow 0.1 {i}" for i in range(number)])
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):

        class Fake(distributed.WorkerPlugin):
            """Tasks that cost nothing, also on the worker that is started instead of the killed one."""

            def setup(self, worker):
                from rhotem.library.campaign import driver

                driver.Child = lambda: Child(command)

        client.register_plugin(Fake())

        def kill() -> None:
            while ledger.counts()["done"] < 4:
                time.sleep(0.05)
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        tally = drive(ledger, Limits(), Crew(2, scheduler=cluster.scheduler_address))
        thread.join()
    assert tally.done + tally.failed == number and tally.failed == 0
    found = look(ledger.catalogue)
    assert found.clean and found.whole == number
