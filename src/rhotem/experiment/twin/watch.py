"""Picks up the files of a session as they come, and fits them: by looking again and again, until told to stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from rhotem.core import InputError, RhoTEMError
from rhotem.core.folders import locked
from rhotem.core.provenance import file_sha256
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.read import Stated, read_measurement
from rhotem.experiment.read.formats import FORMATS
from rhotem.experiment.twin.measured import block, picture, when
from rhotem.experiment.twin.store import Entry, Twin

#: Endings of files that are read through another of the same name, where it is there, and the ending of that one.
BESIDE = {".ser": ".emi", ".raw": ".xml"}
#: Endings that are looked at.
ENDINGS = frozenset(ending for form in FORMATS for ending in form.endings)

#: Held in a twin's folder by the run that watches for it.
WATCHES = ".watch"

Stamp = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Fitting:
    """What a fit gave: its record with ``parameters``, a line, pictures by name."""

    record: dict[str, Any]
    line: str
    pictures: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


class Fitter(Protocol):
    """Fits one measured file of a session."""

    def fit(self, measurement: Measurement) -> Fitting:
        """Fit it; raises `RhoTEMError` with the reason where it cannot be."""


@dataclass
class Watched:
    """What a session brought so far.

    Parameters
    ----------
    twin : Twin
    folder : Path
        Where the instrument writes; folders in it are looked at, too.
    stated : Stated
        What its files lack.
    fitter : Fitter or None
        None: files are recorded, not fitted.
    """

    twin: Twin
    folder: Path
    stated: Stated = field(default_factory=Stated)
    fitter: Fitter | None = None
    _before: dict[Path, Stamp] = field(default_factory=dict)
    _done: dict[Path, Stamp] = field(default_factory=dict)

    def look(self) -> list[Entry]:
        """Record and fit what is new and has not changed since the last look; what still grows waits for the next."""
        now = {path: stamp for path in self._files() if (stamp := _stamp(path)) is not None}
        ready = [p for p, stamp in now.items() if self._before.get(p) == stamp and self._done.get(p) != stamp]
        self._before = now
        added = []
        for path in sorted(ready, key=lambda p: (now[p][1], p)):
            entry = self._take(path)
            self._done[path] = now[path]
            if entry is not None:
                added.append(entry)
        return added

    @property
    def waiting(self) -> int:
        """Files seen that are not recorded yet."""
        return sum(self._done.get(path) != stamp for path, stamp in self._before.items())

    def _files(self) -> list[Path]:
        found = [p for p in self.folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file()]
        hidden = [p for p in found if any(part.startswith(".") for part in p.relative_to(self.folder).parts)]
        own = self.twin.folder.resolve()  # what a twin keeps is no new measurement
        return [p for p in found if p not in hidden and not _beside(p) and own not in p.resolve().parents]

    def _take(self, path: Path) -> Entry | None:
        """The entry of a file; None where it is recorded already, or gone."""
        try:
            digest = file_sha256(path)
        except OSError as error:
            return self._refuse(path, "", error) if path.exists() else None
        self.twin.reload()
        if digest in self.twin.known():
            return None
        try:
            measured = read_measurement(path, self.stated)
            said: dict[str, Any] = block([measured])
            pictures, recorded = {"measured": picture(measured)}, when(measured)
        except Exception as error:  # a session goes on, whatever one file holds
            return self._refuse(path, digest, error)
        if self.fitter is not None:
            try:
                fitting = self.fitter.fit(measured)
            except Exception as error:
                said["not_fitted"] = _reason(error)
            else:
                said["fit"], pictures = fitting.record | {"line": fitting.line}, pictures | fitting.pictures
        return self.twin.add(said, at=recorded, pictures=pictures)

    def _refuse(self, path: Path, digest: str, error: Exception) -> Entry | None:
        refused = {"path": str(path), "sha256": digest, "reason": _reason(error)}
        self.twin.reload()
        if any(entry.said.get("refused") == refused for entry in self.twin.entries):
            return None  # by a run before
        return self.twin.add({"refused": refused})


def watch(
    watched: Watched,
    told: Callable[[Entry], None],
    *,
    every: float = 2.0,
    idle: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Look every so many seconds until interrupted, or until nothing new came for ``idle`` seconds; how many came.

    Raises
    ------
    InputError
        If there is no such folder, or another run watches for this twin.
    """
    if not watched.folder.is_dir():
        raise InputError(f"{watched.folder}: no such folder; give that where the instrument writes")
    try:
        with locked(watched.twin.folder / WATCHES):
            return _watched(watched, told, every, idle, sleep)
    except BlockingIOError:
        raise InputError(f"{watched.twin.folder}: another run watches for this twin; stop it first") from None


def _watched(
    watched: Watched, told: Callable[[Entry], None], every: float, idle: float | None, sleep: Callable[[float], None]
) -> int:
    number, last = 0, time.monotonic()
    while True:
        if not watched.folder.is_dir():
            raise InputError(f"{watched.folder}: is gone, {number} new before; put it back and start again")
        added = watched.look()
        for entry in added:
            told(entry)
        number += len(added)
        if added or watched.waiting:
            last = time.monotonic()
        elif idle is not None and time.monotonic() - last >= idle:
            return number
        sleep(every)


def _beside(path: Path) -> bool:
    """Whether a file goes with another that is read in its place."""
    other = BESIDE.get(path.suffix.lower())
    if other is None:
        return False
    stems = {path.stem, path.stem.rpartition("_")[0] or path.stem}  # series of one .emi are numbered
    return any(path.with_name(f"{stem}{ending}").exists() for stem in stems for ending in (other, other.upper()))


def _stamp(path: Path) -> Stamp | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns  # the last: who may read it


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, RhoTEMError):
        return text
    if isinstance(error, MemoryError):
        return f"too large for the memory ({text})" if text else "too large for the memory"
    return text if isinstance(error, OSError) else f"a defect of RhoTEM: {type(error).__name__}: {text}"
