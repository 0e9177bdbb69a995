"""The process that does tasks one after another: ``python -m rhotem.library.campaign.worker PARENT``.

It reads a line for each task and answers with a line. What it computes with may print: its own output goes elsewhere.
"""

import errno
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rhotem.core import RhoTEMError
from rhotem.core.parents import end_with
from rhotem.library.campaign.task import Task
from rhotem.library.shard import new_shard

#: Writes the entry of a task into an empty folder.
Compute = Callable[[Task, Path], None]
#: Disks that take nothing more: the fault is no task's.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def serve(compute: Compute) -> None:
    """Do the tasks that come on standard input until it ends."""
    end_with(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        answers.write(json.dumps(answer(compute, asked)) + "\n")


def answer(compute: Compute, asked: dict[str, Any]) -> dict[str, Any]:
    """Do one task: ``{"library": folder, "task": text}``.

    Returns
    -------
    dict
        ``state`` "done" with the ``shard``, "failed" with the ``reason``, or "full": the disk takes nothing more;
        ``seconds`` of processor time.
    """
    library, began = Path(asked["library"]), time.process_time()
    shard: Path | None = None
    try:
        task = Task.from_json(asked["task"])
        shard = new_shard(library, task.id)
        compute(task, shard)
        said = {"state": "done", "shard": shard.name}
    except Exception as error:
        if shard is not None:
            shutil.rmtree(shard, ignore_errors=True)
        said = _failed(error)
    return {**said, "seconds": round(time.process_time() - began, 3)}


def _failed(error: Exception) -> dict[str, Any]:
    if isinstance(error, OSError) and error.errno in FULL:
        return {"state": "full", "reason": str(error.strerror)}
    if isinstance(error, RhoTEMError):
        return {"state": "failed", "reason": " ".join(str(error).split())}
    if isinstance(error, MemoryError):
        return {"state": "failed", "reason": f"out of memory ({error})"}
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return {"state": "failed", "reason": f"{type(error).__name__}: {error} ({where})"}


if __name__ == "__main__":
    from rhotem.library.campaign.compute import compute

    serve(compute)
