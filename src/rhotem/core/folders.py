"""Where the user's own files are kept, and where work is done beside them."""

import errno
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nobody is told of others
    fcntl = None  # type: ignore[assignment]  # asked for before it is used

#: In a temporary folder, locked by the run that works there; the lock ends with the run, however that ends.
LOCK = ".lock"
#: Seconds between looks at a lock that is waited for.
LOOK = 0.02
#: What disks say that lock no files, as some in networks: there nobody is told of others.
LOCKLESS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


def models_folder() -> Path:
    """Folder of imported models: ``RHOTEM_MODELS``, else ``rhotem/models`` in the user's data folder (XDG)."""
    own = os.environ.get("RHOTEM_MODELS")
    if own:
        return Path(own)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "rhotem" / "models"


def instruments_folder() -> Path:
    """Folder of the user's instruments: ``RHOTEM_INSTRUMENTS``, else ``rhotem/instruments`` of the user's settings."""
    own = os.environ.get("RHOTEM_INSTRUMENTS")
    if own:
        return Path(own)
    settings = os.environ.get("XDG_CONFIG_HOME")
    return (Path(settings) if settings else Path.home() / ".config") / "rhotem" / "instruments"


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """Temporary folder beside ``target``, on the same disk; deleted at the end. Makes the parent folder if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".tmp", dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def alone(target: Path) -> Iterator[Path]:
    """`scratch` that nobody else has for the same target; what killed runs left there is deleted.

    Raises
    ------
    BlockingIOError
        If another run is at work on ``target``.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as kept:
        with _turn(target.parent):  # runs that start together look one after the other
            for folder in target.parent.glob(f".{glob.escape(target.name)}-????????.tmp"):  # as mkdtemp names them
                if _is_held(folder / LOCK):
                    raise BlockingIOError(errno.EAGAIN, "another run is writing there")
                if fcntl is not None and (folder / LOCK).exists():
                    shutil.rmtree(folder, ignore_errors=True)
            folder = kept.enter_context(scratch(target))
            stream = kept.enter_context(open(folder / f"{LOCK}.new", "w"))
            if fcntl is not None:
                with suppress(OSError):  # nobody else has it: fails only on disks that lock nothing
                    fcntl.flock(stream, fcntl.LOCK_EX)
            os.replace(stream.name, folder / LOCK)  # never there without being held
        yield folder


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """A moment alone with the names in a folder."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # disks that lock no folders
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, patience: float = 0.0) -> Iterator[None]:
    """While nobody else holds the file, which is made and stays; the lock ends with the run, however that ends.

    Raises
    ------
    BlockingIOError
        If another run still holds it after ``patience`` seconds.
    """
    end = time.monotonic() + patience
    with open(path, "a") as stream:
        while fcntl is not None:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise
                time.sleep(LOOK)
            except OSError as error:
                if error.errno not in LOCKLESS:
                    raise
                break
        yield


def _is_held(lock: Path) -> bool:
    if fcntl is None:
        return False
    try:
        with open(lock) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
