"""Claims: which process is working on which run, on one machine or on many that share a directory."""

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path

#: Seconds between signs of life, and after how long without one a claim of another machine is taken over.
HEARTBEAT = 15.0
STALE = 300.0


class Claim:
    """Exclusive right to do one run, released when the process ends, kill -9 included.

    A claim is a file made with O_EXCL that names host, process and the process's start. It is dead when its process is
    gone (same host) or has shown no sign of life for five minutes (another host). A dead claim is taken over by
    renaming it, which only one of several takers can do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stop = threading.Event()
        self._content = ""

    def acquire(self) -> bool:
        """Take the claim; False if a living process holds it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": _process_start(os.getpid()),
                "at": time.time(),
            }
        )
        self._content = content
        # Linked into place so that a claim is never seen empty.
        own = self.path.with_name(f".{self.path.name}.{socket.gethostname()}.{os.getpid()}")
        own.write_text(content)
        try:
            for _ in range(2):
                try:
                    os.link(own, self.path)
                except FileExistsError:
                    if not _bury(self.path):
                        return False
                else:
                    threading.Thread(target=self._beat, daemon=True).start()
                    return True
            return False
        finally:
            own.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the claim back, unless somebody else took it over meanwhile."""
        self._stop.set()
        if self.held():
            self.path.unlink(missing_ok=True)

    def held(self) -> bool:
        """Whether it is still this process's: one that slept for minutes, on another host, was taken for dead."""
        try:
            return self.path.read_text() == self._content
        except OSError:
            return False

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            try:
                if not self.held():
                    return
                os.utime(self.path)
            except OSError:
                return


def is_held(path: Path) -> bool:
    """Whether a living process holds the claim at ``path``."""
    try:
        holder = json.loads(path.read_text())
        host, process, started = str(holder["host"]), int(holder["pid"]), holder["started"]
        if host == socket.gethostname():
            return _process_start(process) == started
        age = _now(path) - path.stat().st_mtime
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return False
    # a sign of life from the future says no more: the clock was put back, and whoever lives beats again
    return abs(age) < STALE


def _now(path: Path) -> float:
    """Time by the clock of the disk that holds a claim: those of two hosts may differ by more than its age."""
    probe = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}.now")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:  # it cannot be written
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _bury(path: Path) -> bool:
    """Remove a dead claim; False if it is alive or somebody else was faster."""
    if is_held(path):
        return False
    grave = path.with_name(f".{path.name}.dead.{socket.gethostname()}.{os.getpid()}")
    try:
        os.rename(path, grave)
    except FileNotFoundError:
        return True
    # Between the look and the rename another process may have buried the dead one and claimed: give it back.
    if is_held(grave):
        os.link(grave, path)
        grave.unlink()
        return False
    grave.unlink()
    return True


def _process_start(pid: int) -> float | None:
    """Start time of a process (clock ticks since boot where the system tells), None if there is none."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return None if fields[0] == "Z" else float(fields[19])
