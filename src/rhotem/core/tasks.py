"""Pieces of a job one after another here, or by the workers of a Dask cluster: the same methods, results on disk."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from rhotem.core.errors import InputError, MissingDependencyError
from rhotem.core.progress import Progress, silent

#: ``run(method, number, label)`` calls ``job.method(0 … number − 1)`` and returns what they return, in order.
Run = Callable[[str, int, str], list[Any]]
#: Seconds to wait for the scheduler.
PATIENCE = 20
#: Bytes that Python with its libraries and the weights of a model take, beside what any of this holds.
PROGRAM = 5e8


def room(memory: float | None) -> float | None:
    """Bytes for arrays within ``memory``."""
    return None if memory is None else max(memory - PROGRAM, 0.1 * memory)


@contextmanager
def pieces(job: object, folder: Path, scheduler: str | None = None, progress: Progress = silent) -> Iterator[Run]:
    """Yield a function that does all pieces of a stage of ``job`` before it returns.

    Pieces write their results under ``folder``, under final names only when complete, and return a few numbers; done
    twice they write the same. So a worker may be lost at any time: Dask gives its pieces to others.

    Parameters
    ----------
    job : object
        With a method per stage that takes the index of the piece. For a cluster it is pickled into ``folder``.
    folder : Path
        Private to this run; a cluster's workers see it under the same name.
    scheduler : str or None
        Address of a Dask scheduler whose workers have RhoTEM installed; None: here.
    progress : Progress

    Raises
    ------
    InputError
        If nothing answers there, it has no workers, or workers do not see the folder.
    MissingDependencyError
        If Dask is not installed.
    """
    if scheduler is None:

        def here(method: str, number: int, label: str) -> list[Any]:
            results = []
            for index in range(number):
                results.append(getattr(job, method)(index))
                progress(label, index + 1, number)
            return results

        yield here
        return
    path = folder / f"job-{uuid4().hex}.pickle"
    with open(path, "wb") as stream:
        pickle.dump(job, stream, protocol=pickle.HIGHEST_PROTOCOL)
    with connect(scheduler, path) as client:
        yield lambda method, number, label: _spread(client, path, (method, number, label), progress)


@contextmanager
def connect(scheduler: str, path: Path) -> Iterator[Any]:
    """A `distributed.Client` of an existing cluster whose workers see ``path``; closed at the end.

    Loops of its futures need ``loop=client.loop``: it is not made the default client.

    Raises
    ------
    InputError
        If nothing answers there, it has no workers, or workers do not see ``path``.
    MissingDependencyError
        If Dask is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingDependencyError(
            "--scheduler needs Dask: pip install distributed, or leave it out to run here"
        ) from None
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers there ({error})") from None
    try:
        seen = client.run(path.exists)
        if not seen:
            raise InputError(f"--scheduler {scheduler}: it has no workers; start some, or leave it out to run here")
        if blind := ", ".join(worker for worker, sees in seen.items() if not sees):
            raise InputError(
                f"--scheduler {scheduler}: workers {blind} do not see {path}; write to a folder shared by all"
            )
        yield client
    finally:
        client.close()


def _spread(client: Any, path: Path, stage: tuple[str, int, str], progress: Progress) -> list[Any]:
    from distributed import as_completed

    method, number, label = stage
    keys = [f"rhotem-{method}-{path.stem}-{index}" for index in range(number)]
    futures = [client.submit(_piece, str(path), method, index, key=key) for index, key in enumerate(keys)]
    place = {key: index for index, key in enumerate(keys)}
    results: list[Any] = [None] * number
    try:
        for done, (future, result) in enumerate(as_completed(futures, loop=client.loop, with_results=True), start=1):
            results[place[future.key]] = result
            progress(label, done, number)
    finally:
        client.cancel(futures)
    return results


def _piece(path: str, method: str, index: int) -> Any:
    return getattr(_job(path), method)(index)


@lru_cache(maxsize=1)
def _job(path: str) -> Any:
    """The job of this run; read once by every worker. It was written by this user's own process."""
    with open(path, "rb") as stream:
        return pickle.load(stream)
