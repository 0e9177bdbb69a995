"""The process that does one run: ``python -m rhotem.labels.worker DIRECTORY JOB ATTEMPTS SECONDS [RUNNER]``."""

import json
import os
import resource
import shutil
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from rhotem.core import RhoTEMError
from rhotem.core.claims import Claim
from rhotem.core.parents import end_with
from rhotem.labels.job import Job
from rhotem.labels.npz import write_npz

#: Exit codes: the label was made; another process has or had the run; it failed and the reason is on disk.
DONE, TAKEN, FAILED = 0, 3, 4


def work(directory: Path, job_file: Path, attempts: int) -> int:
    """Do one run if nobody else does; leave a record or a reason, and nothing half-written."""
    job = Job.from_json(job_file.read_text())
    claim = Claim(directory / "claims" / f"{job.id}.json")
    if not claim.acquire():
        return TAKEN
    record, failure = directory / "records" / f"{job.id}.npz", directory / "failed" / f"{job.id}.json"
    scratch = directory / "scratch" / job.id
    try:
        if record.exists():
            return TAKEN
        for folder in (record.parent, failure.parent, scratch):
            folder.mkdir(parents=True, exist_ok=True)
        start = time.time()
        note(directory, job, "start")
        try:
            from rhotem.labels.calculate import calculate
            from rhotem.labels.quality import suspect_spin

            label = calculate(
                job, scratch / "gpaw.txt", attempts, told=lambda line: note(directory, job, "retry", line)
            )
        except Exception as error:
            reason = str(error) if isinstance(error, RhoTEMError) else f"{type(error).__name__}: {error}"
            fail(directory, job, reason, traceback.format_exc())
            return FAILED
        label.meta["suspect_spin"] = bool(suspect_spin(label))
        write_npz(label, record)
        failure.unlink(missing_ok=True)
        note(directory, job, "done", f"{time.time() - start:.0f} s")
        shutil.rmtree(scratch, ignore_errors=True)
        return DONE
    finally:
        claim.release()


def fail(directory: Path, job: Job, reason: str, details: str = "") -> None:
    """Keep a failure with its reason and the job, so that it can be looked at and tried again."""
    path = directory / "failed" / f"{job.id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"reason": reason, "details": details, "at": time.time(), "job": json.loads(job.to_json())}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(content, indent=1))
    os.replace(unfinished, path)
    note(directory, job, "failed", reason)


def note(directory: Path, job: Job, event: str, text: str = "") -> None:
    """Append one line to the journal; short appends are atomic."""
    line: dict[str, Any] = {"at": round(time.time(), 1), "id": job.id, "event": event, "pid": os.getpid()}
    if text:
        line["text"] = text[:400]
    with open(directory / "journal.jsonl", "a") as stream:
        stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    end_with(int(sys.argv[5]) if len(sys.argv) > 5 else os.getppid())
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[4]), int(sys.argv[4]) + 10))
    sys.exit(work(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
