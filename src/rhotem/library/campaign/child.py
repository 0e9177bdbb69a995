"""A worker process and the limits within which it is let work."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rhotem.core import MissingDependencyError

#: How a worker is started; its parent's number is added.
WORKER = (sys.executable, "-m", "rhotem.library.campaign.worker")
#: Seconds between looks at memory and time.
LOOK = 0.2
#: Limit on the clock in units of that on processor time: for what hangs on a busy machine.
WALL = 30


@dataclass(frozen=True)
class Bounds:
    """Limits of one task: processor time in s, memory of the process in bytes."""

    seconds: float
    memory: float


class Child:
    """A worker process, started when it is first needed and again after it had to be stopped."""

    def __init__(self, command: Sequence[str] = WORKER) -> None:
        try:
            import psutil
        except ImportError:
            raise MissingDependencyError("campaigns need psutil: pip install 'rhotem[library]'") from None
        self._watch = psutil.Process
        self._command = tuple(command)
        self._process: subprocess.Popen | None = None
        self._errors: Any = None

    def do(self, asked: dict[str, Any], bounds: Bounds) -> dict[str, Any]:
        """The answer of the worker (`rhotem.library.campaign.worker.answer`); "crashed" with its reason if it died.

        A task beyond its bounds is "failed", and its process ended.
        """
        process = self._running()
        watched, began = self._watch(process.pid), time.monotonic()
        used = _processor(watched)
        try:
            process.stdin.write(json.dumps(asked) + "\n")  # type: ignore[union-attr]  # it has pipes
            process.stdin.flush()  # type: ignore[union-attr]
            with selectors.DefaultSelector() as ready:
                ready.register(process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
                while not ready.select(LOOK):
                    beyond, spent = _beyond(watched, used, began, bounds)
                    if beyond:
                        self.stop()
                        return {"state": "failed", "reason": beyond, "seconds": round(spent, 3)}
            line = process.stdout.readline()  # type: ignore[union-attr]
            if line:
                return dict(json.loads(line))
        except (BrokenPipeError, json.JSONDecodeError):
            pass
        return self._died(process)

    def stop(self) -> None:
        """End the process and everything that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        self._errors.close()

    def _running(self) -> subprocess.Popen:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.stop()
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by stop
        self._process = subprocess.Popen(
            [*self._command, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
            start_new_session=True,  # Ctrl-C reaches the driver alone, which ends them
        )
        return self._process

    def _died(self, process: subprocess.Popen) -> dict[str, Any]:
        code = process.wait()
        self._errors.seek(0)
        said = self._errors.read()[-2000:].strip().splitlines()
        self.stop()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return {"state": "crashed", "reason": f"its process ended with {how}" + (f": {said[-1]}" if said else "")}


def _processor(watched: Any) -> float:
    times = watched.cpu_times()
    return float(times.user + times.system)


def _beyond(watched: Any, used: float, began: float, bounds: Bounds) -> tuple[str, float]:
    """Which bound a process is beyond, in words, "" if none; and the processor time in s that it took so far."""
    import psutil

    try:
        memory, seconds = float(watched.memory_info().rss), _processor(watched) - used
    except psutil.Error:  # it has just ended
        return "", 0.0
    why = ""
    if memory > bounds.memory:
        why = f"limit of {1e-9 * bounds.memory:.3g} GB reached; allow more (limits.memory), or keep less"
    elif seconds > bounds.seconds:
        why = f"limit of {bounds.seconds:.0f} s of processor time reached; allow more (limits.seconds)"
    elif time.monotonic() - began > WALL * bounds.seconds:
        why = f"limit of {WALL} times {bounds.seconds:.0f} s on the clock reached"
    return why, seconds
