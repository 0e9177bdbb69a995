"""The driver of a campaign: hands tasks to workers, moves what they made to its place and catalogues it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rhotem.core import InputError, RhoTEMError
from rhotem.core.claims import Claim
from rhotem.core.tasks import connect
from rhotem.library.campaign.child import WORKER, Bounds, Child
from rhotem.library.campaign.ledger import Ledger
from rhotem.library.campaign.model import Limits
from rhotem.library.campaign.tally import Tally
from rhotem.library.campaign.task import Task
from rhotem.library.hold import hold, holder
from rhotem.library.layout import INCOMING
from rhotem.library.repair import recover
from rhotem.library.shard import read_shard, settle

#: So many processes dying one after another are the installation's fault, not that of tasks.
CRASHES = 5
#: Seconds between looks at whether the campaign was cancelled.
LOOK = 1.0

#: ``submit(task)`` hands a task to a worker and returns the future of its answer.
Submit = Callable[[Task], Future]


@dataclass(frozen=True)
class Crew:
    """Who works.

    Parameters
    ----------
    workers : int
        Processes here, or tasks at once on a cluster.
    scheduler : str or None
        Address of a Dask scheduler whose workers see the library; None: processes of this machine.
    command : sequence of str
        That starts a worker (`rhotem.library.campaign.worker`).
    """

    workers: int = 2
    scheduler: str | None = None
    command: Sequence[str] = WORKER


def drive(
    ledger: Ledger,
    limits: Limits,
    crew: Crew | None = None,
    report: Callable[[Tally], None] = lambda tally: None,
    again: Sequence[str] = (),
) -> Tally:
    """Do the waiting tasks of a campaign.

    Killed at any moment, the same call goes on: what was in flight is done again, nothing else.

    Parameters
    ----------
    ledger : Ledger
    limits : Limits
    crew : Crew, optional
        Two processes of this machine if left out.
    report : callable
        Told after every task.
    again : sequence of str
        States of tasks that wait again, "failed", once no other driver is at work.

    Raises
    ------
    InputError
        If another driver is at work on the library, or its disk is full.
    RhoTEMError
        If workers die one after another.
    """
    crew = crew or Crew()
    with hold(ledger.catalogue.folder) as claim:
        recover(ledger.catalogue)
        if again:
            ledger.change(again, "waiting")
        ledger.settle()
        tally = Tally(ledger.counts(), crew.workers)
        with _hands(ledger, limits, crew) as submit:
            _Drive(ledger, limits, tally, report, claim).run(submit, crew.workers)
        recover(ledger.catalogue)
    return tally


class _Drive:
    """One pass over the waiting tasks."""

    def __init__(
        self, ledger: Ledger, limits: Limits, tally: Tally, report: Callable[[Tally], None], claim: Claim
    ) -> None:
        self._ledger, self._limits, self._tally, self._report, self._claim = ledger, limits, tally, report, claim
        self._crashes = 0

    def run(self, submit: Submit, at_once: int) -> None:
        """Keep so many tasks in work until none waits."""
        flying: dict[Future, Task] = {}
        while True:
            while len(flying) < at_once:
                task = self._ledger.next([task.id for task in flying.values()])
                if task is None:
                    break
                self._tally.start(task.id)
                flying[submit(task)] = task
            if not flying:
                return
            ended, _ = wait(flying, timeout=LOOK, return_when=FIRST_COMPLETED)
            for future in ended:
                self._took(flying.pop(future), future.result())

    def _took(self, task: Task, said: dict[str, Any]) -> None:
        """Note what became of a task."""
        state, seconds = said["state"], float(said.get("seconds", 0.0))
        library = self._ledger.catalogue.folder
        if not self._claim.held():
            raise InputError(
                f"{library}: {holder(library) or 'another process'} has taken over; nothing more is done here"
            )
        if state == "full":
            raise InputError(f"{library}: {said['reason']}; make room, `rhotem campaign resume {library}` goes on")
        if state == "done":
            shard = library / INCOMING / said["shard"]
            try:
                described = read_shard(shard)
            except InputError as error:
                state, said = "crashed", {"reason": str(error)}
            else:
                settle(library, shard, task.id)
                self._ledger.finish(task.id, described, seconds)
        self._crashes = self._crashes + 1 if state == "crashed" else 0
        if self._crashes == CRASHES:
            raise RhoTEMError(
                f"{CRASHES} workers in a row died ({said['reason']}); repair the installation (rhotem doctor), then "
                f"rhotem campaign resume {library}"
            )
        if state != "done":
            most = self._limits.attempts if state == "crashed" else 1
            state = "again" if self._ledger.fail(task.id, said["reason"], seconds, most) else "failed"
        self._tally.end(task, state, said.get("reason", ""), seconds)
        self._report(self._tally)


@contextmanager
def _hands(ledger: Ledger, limits: Limits, crew: Crew) -> Iterator[Submit]:
    """Workers of this machine, or of a cluster."""
    library, bounds = ledger.catalogue.folder, Bounds(limits.seconds, limits.bytes)
    if crew.scheduler is not None:
        with connect(crew.scheduler, library) as client, _spread(client, str(library), bounds) as submit:
            yield submit
        return
    children: list[Child] = []
    own = threading.local()

    def begin() -> None:
        own.child = Child(crew.command)
        children.append(own.child)

    def do(task: Task) -> dict[str, Any]:
        answer: dict[str, Any] = own.child.do({"library": str(library), "task": task.to_json()}, bounds)
        return answer

    pool = ThreadPoolExecutor(crew.workers, initializer=begin)
    try:
        yield lambda task: pool.submit(do, task)
    finally:
        for child in children:
            child.stop()
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _spread(client: Any, library: str, bounds: Bounds) -> Iterator[Submit]:
    """Tasks for the workers of a cluster; futures of Dask become futures that can be waited for here."""
    sent: list[Any] = []

    def submit(task: Task) -> Future:
        asked = {"library": library, "task": task.to_json()}
        here: Future = Future()
        there = client.submit(_on_worker, asked, bounds, key=f"library-{task.id}-{len(sent)}")
        sent.append(there)
        there.add_done_callback(lambda done: _hand_over(done, here))
        return here

    try:
        yield submit
    finally:
        client.cancel(sent)


def _hand_over(there: Any, here: Future) -> None:
    if there.status == "finished":
        here.set_result(there.result())
    else:
        here.set_result({"state": "crashed", "reason": f"on the cluster: {there.status}: {there.exception()}"})


#: The worker process of every thread of a Dask worker.
_OWN = threading.local()


def _on_worker(asked: dict[str, Any], bounds: Bounds) -> dict[str, Any]:
    """Do a task in a process of its own beside the worker of a cluster, which keeps its limits."""
    if not hasattr(_OWN, "child"):
        _OWN.child = Child()
    answer: dict[str, Any] = _OWN.child.do(asked, bounds)
    return answer
