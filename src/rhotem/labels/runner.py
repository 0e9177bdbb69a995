"""Run the jobs of a plan: one process per run, here or on a Dask cluster; killed at any moment, run again continues."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from rhotem.core import RhoTEMError
from rhotem.core.claims import is_held
from rhotem.core.progress import Progress, silent
from rhotem.core.tasks import connect
from rhotem.labels.job import Job
from rhotem.labels.worker import DONE, FAILED, TAKEN, fail

#: What became of a job: "done", "failed", "crashed" (its process died), "taken" (by another process), "done before",
#: "failed before".
Outcome = str

#: So many processes dying one after another are the installation's fault, not that of the structures.
CRASHES = 3

#: Limit on the clock, in units of the limit on processor time: for what hangs. A niced run beside two busy ones on two
#: cores gets a thirtieth of a core at worst.
WALL = 30


def run_job(directory: Path, line: str, time_limit: float, attempts: int) -> Outcome:
    """Do one job (a line of jobs.jsonl) in a process of its own; ``time_limit`` is in seconds of processor time."""
    job = Job.from_json(line)
    job_file = directory / "scratch" / f"{job.id}.json"
    job_file.parent.mkdir(parents=True, exist_ok=True)
    job_file.write_text(line)
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    command = [
        sys.executable,
        "-m",
        "rhotem.labels.worker",
        str(directory),
        str(job_file),
        str(attempts),
        f"{time_limit:.0f}",
        str(os.getpid()),
    ]
    # Its own process group: everything it started ends with it.
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, errors = process.communicate(timeout=WALL * time_limit)
    except subprocess.TimeoutExpired:
        _kill(process)
        fail(directory, job, f"wall-clock limit of {WALL} times {time_limit:.0f} s reached")
        return "failed"
    except BaseException:
        _kill(process)
        raise
    finally:
        job_file.unlink(missing_ok=True)
    if process.returncode == -signal.SIGXCPU:
        fail(directory, job, f"limit of {time_limit:.0f} s of processor time reached")
        return "failed"
    if process.returncode in (DONE, TAKEN, FAILED):
        shutil.rmtree(directory / "scratch" / job.id, ignore_errors=True)
        return {DONE: "done", TAKEN: "taken", FAILED: "failed"}[process.returncode]
    how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
    fail(directory, job, f"the process ended with {how}", errors[-2000:])
    return "crashed"


def run(
    directory: Path,
    jobs: Iterable[Job],
    *,
    time_limit: float = 1800.0,
    attempts: int = 4,
    retry_failed: bool = False,
    scheduler: str | None = None,
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> dict[Outcome, int]:
    """Do all jobs that are neither done, nor in work, nor failed before.

    Parameters
    ----------
    directory : Path
        Holds ``records/``, ``failed/``, ``claims/``, ``scratch/`` and ``journal.jsonl``; several runners may share it.
    jobs : iterable of Job
        In the order in which they are wanted.
    time_limit : float
        Seconds of processor time per run, all its attempts together (a busy machine fails nothing); thirty times that
        on the clock.
    attempts : int
        Self-consistency attempts per run (`rhotem.labels.calculate.ATTEMPTS`).
    retry_failed : bool
        Do failed jobs again.
    scheduler : str or None
        Address of a Dask scheduler whose workers see ``directory`` and have RhoTEM installed; None runs here.
    stop : callable
        Asked before every run; True ends after the run in flight.

    Returns
    -------
    dict
        How many jobs ended how.

    Raises
    ------
    RhoTEMError
        If three processes in a row die.
    """
    directory = directory.resolve()
    (directory / "records").mkdir(parents=True, exist_ok=True)
    jobs = list(jobs)
    if scheduler:
        return _run_on_cluster(directory, jobs, scheduler, (time_limit, attempts, retry_failed), progress)
    counts: dict[Outcome, int] = {}
    crashed: list[Job] = []
    for number, job in enumerate(jobs):
        if stop():
            break
        outcome = wanted(directory, job, retry_failed) or run_job(directory, job.to_json(), time_limit, attempts)
        counts[outcome] = counts.get(outcome, 0) + 1
        crashed = [*crashed, job] if outcome == "crashed" else []
        if len(crashed) == CRASHES:
            raise _broken(directory, crashed)
        progress(f"{job.info.get('name', job.id)}: {outcome}", number + 1, len(jobs))
    return counts


def _broken(directory: Path, crashed: list[Job]) -> RhoTEMError:
    """The error after several crashes in a row; their failures are withdrawn so that the next call does them again."""
    path = directory / "failed" / f"{crashed[-1].id}.json"
    last = json.loads(path.read_text())["details"].strip().splitlines() or ["no message"]
    for job in crashed:
        (directory / "failed" / f"{job.id}.json").unlink(missing_ok=True)
    return RhoTEMError(
        f"{CRASHES} runs in a row died at once ({last[-1]}); repair the installation (rhotem doctor), run again"
    )


def wanted(directory: Path, job: Job, retry_failed: bool = False) -> Outcome | None:
    """None if the job is to be done, otherwise why not."""
    if (directory / "records" / f"{job.id}.npz").exists():
        return "done before"
    if not retry_failed and (directory / "failed" / f"{job.id}.json").exists():
        return "failed before"
    if is_held(directory / "claims" / f"{job.id}.json"):
        return "taken"
    return None


def _run_on_cluster(
    directory: Path, jobs: list[Job], scheduler: str, limits: tuple[float, int, bool], progress: Progress
) -> dict[Outcome, int]:
    time_limit, attempts, retry_failed = limits
    counts: dict[Outcome, int] = {}
    todo = []
    for job in jobs:
        outcome = wanted(directory, job, retry_failed)
        if outcome is None:
            todo.append(job)
        else:
            counts[outcome] = counts.get(outcome, 0) + 1
    with connect(scheduler, directory) as client:
        from distributed import as_completed

        futures = [
            client.submit(run_job, directory, job.to_json(), time_limit, attempts, key=f"label-{job.id}", priority=-i)
            for i, job in enumerate(todo)
        ]
        for number, (_, outcome) in enumerate(as_completed(futures, loop=client.loop, with_results=True)):
            counts[outcome] = counts.get(outcome, 0) + 1
            progress(outcome, number + 1, len(todo))
    return counts


def _kill(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
