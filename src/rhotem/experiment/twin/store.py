"""The folder of a twin: entries that are only ever added, each whole or not there.

    twin.yaml               format, version, name
    entries/0001.yaml       what was measured, fitted, said; when
    arrays/0001.zarr        pictures of it
    files/0001-NAME         structures

Arrays and files of an entry are written first, the entry last: what a killed run left is taken away by the next one.
The revision of a twin is the number of its entries; an older one is what it was then.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import yaml

from rhotem.core import InputError
from rhotem.core.folders import LOCK, locked
from rhotem.core.output import output_folder, plain
from rhotem.core.provenance import file_sha256, versions
from rhotem.core.whole import write_text_whole
from rhotem.experiment.twin.quantities import Number, followed, possible
from rhotem.microscope.stored import read_group, write_group

#: Files, and what says that they are a twin.
HEAD, ENTRIES, ARRAYS, FILES = "twin.yaml", "entries", "arrays", "files"
FORMAT, VERSION = "rhotem-twin", 1
PICTURES = ("rhotem-twin-pictures", 1)
#: Key of the checksum of an entry.
SEAL = "entry_sha256"
#: Seconds that an entry waits for another run to have written its own.
PATIENCE = 20.0

Pictures = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Entry:
    """What became known at one time.

    Parameters
    ----------
    number : int
        From 1.
    time : datetime
        When it was so, with a time zone.
    numbers : dict
        `Number` by name, as given with this entry.
    said : dict
        Blocks: ``structure``, ``measurements``, ``fit``, ``refused``, ``note``; ``recorded`` is when it was written.
    """

    number: int
    time: datetime
    numbers: dict[str, Number] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def measurements(self) -> list[dict[str, Any]]:
        """Records of measured files."""
        return list(self.said.get("measurements", ()))

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """What was fitted: value, error and unit by name."""
        return dict(self.said.get("fit", {}).get("parameters", {}))


class Twin:
    """The record of one specimen in a folder; `create` or `open` it."""

    def __init__(self, folder: Path, name: str, entries: list[Entry]) -> None:
        self.folder, self.name, self.entries = folder, name, entries

    @classmethod
    def create(cls, folder: str | Path, name: str) -> Self:
        """A new one without entries.

        Raises
        ------
        InputError
            If the folder holds something.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: holds something already; give a new folder")
        head = {"format": FORMAT, "format_version": VERSION, "name": name, "created": _now(), "versions": versions()}
        with output_folder(folder) as made:
            for inner in (ENTRIES, ARRAYS, FILES):
                (made / inner).mkdir()
            (made / HEAD).write_text(_yaml(head), "utf-8")
        return cls(folder, name, [])

    @classmethod
    def open(cls, folder: str | Path, revision: int | None = None) -> Self:
        """That of a folder; ``revision``: as it was after so many entries.

        Raises
        ------
        InputError
            If it is none, of another version, or damaged.
        """
        folder = Path(folder)
        if not (folder / HEAD).is_file():
            raise InputError(f"{folder}: no twin; make one with `rhotem twin init {folder} STRUCTURE`")
        head = _read(folder / HEAD)
        if head.get("format") != FORMAT:
            raise InputError(f"{folder / HEAD}: no twin of RhoTEM")
        if head.get("format_version") != VERSION:
            raise InputError(
                f"{folder / HEAD}: version {head.get('format_version')}, this RhoTEM reads {VERSION}; update it"
            )
        twin = cls(folder, str(head.get("name", folder.name)), [])
        twin.reload()
        if revision is not None:
            if not 0 <= revision <= len(twin.entries):
                raise InputError(f"{folder}: has {len(twin.entries)} entries, no revision {revision}")
            del twin.entries[revision:]
        return twin

    def reload(self) -> None:
        """Take in what others have added.

        Raises
        ------
        InputError
            If an entry is damaged, or one before others is missing.
        """
        there = [int(path.stem) for path in (self.folder / ENTRIES).glob("*.yaml") if path.stem.isdecimal()]
        while (path := self._entry(len(self.entries) + 1)).is_file():
            self.entries.append(_entry(path, len(self.entries) + 1))
        if len(self.entries) < max(there, default=0):
            raise InputError(f"{path}: missing, while later ones are there; restore it from a copy")

    def add(
        self,
        said: Mapping[str, Any],
        *,
        numbers: Mapping[str, Number] | None = None,
        at: datetime | None = None,
        pictures: Pictures | None = None,
        file: Path | None = None,
    ) -> Entry:
        """Add an entry.

        Parameters
        ----------
        said : mapping
            Blocks of `Entry`.
        numbers : mapping, optional
        at : datetime, optional
            Now unless given.
        pictures : mapping, optional
            Arrays by name.
        file : Path, optional
            Copied into the twin: that of ``said["structure"]``.

        Raises
        ------
        InputError
            If a name comes with another unit than before, the entry could not be read again, or another run keeps
            writing.
        """
        given = dict(numbers or {})
        with self._alone():
            self.reload()
            self._check_units(given)
            number = len(self.entries) + 1
            blocks = {"number": number, "time": _written(at), "recorded": _now(), "rhotem": versions()["rhotem"]}
            blocks |= {"numbers": {name: vars(one) for name, one in given.items()}} if given else {}
            blocks |= dict(said)
            try:
                _made(_loaded(_yaml(blocks)), number)
            except ValueError as error:  # now, not by every run from now on
                raise InputError(f"{self.folder}: an entry that cannot be read again ({error})") from None
            if file is not None:
                blocks["structure"] = dict(said["structure"]) | self._keep(file, number)
            if pictures:
                place = self._arrays(number)
                shutil.rmtree(place, ignore_errors=True)
                write_group(place, PICTURES, {n: np.asarray(a) for n, a in pictures.items()}, {}, whole=True)
            write_text_whole(self._entry(number), _sealed(_yaml(blocks)))
            self.reload()
        return self.entries[number - 1]

    def pictures(self, entry: Entry) -> dict[str, npt.NDArray[Any]]:
        """Arrays of an entry by name; none if it has none."""
        place = self._arrays(entry.number)
        return dict(read_group(place, PICTURES, "pictures of a twin")[0]) if place.exists() else {}

    def states(self) -> dict[int, dict[str, Number]]:
        """States by the number of the entry: those given with it, and those that hold from before, by time."""
        held: dict[str, Number] = {}
        found = {}
        for entry in self.by_time():
            held = followed(held, entry.numbers)
            found[entry.number] = held
        return found

    def by_time(self) -> list[Entry]:
        """Entries in the order of the specimen's life."""
        return sorted(self.entries, key=lambda entry: (entry.time, entry.number))

    def structure(self) -> str:
        """What `rhotem.analysis.run.structure` reads: the last structure by time.

        Raises
        ------
        InputError
            If none was given, or the file is damaged.
        """
        for entry in reversed(self.by_time()):
            told = entry.said.get("structure")
            if told is None:
                continue
            if "file" not in told:
                return str(told["name"])
            path = self.folder / FILES / told["file"]
            if not path.is_file() or file_sha256(path) != told["sha256"]:
                raise InputError(f"{path}: missing or changed; add the structure again")
            return str(path)
        raise InputError(f"{self.folder}: has no structure; rhotem twin add {self.folder} --structure FILE")

    def known(self) -> set[str]:
        """SHA-256 of all files measured, or refused, so far."""
        found = {one["source"]["sha256"] for entry in self.entries for one in entry.measurements}
        return found | {e.said["refused"]["sha256"] for e in self.entries if "refused" in e.said}

    def _check_units(self, given: Mapping[str, Number]) -> None:
        for name, one in given.items():
            before = next((e.numbers[name] for e in self.entries if name in e.numbers), None)
            if before is not None and before.unit != one.unit:
                raise InputError(f"--number {name}: given in {one.unit or '1'}, before in {before.unit or '1'}")

    def _keep(self, file: Path, number: int) -> dict[str, str]:
        name = f"{number:04d}-{file.name}"
        shutil.copyfile(file, self.folder / FILES / name)
        return {"file": name, "sha256": file_sha256(self.folder / FILES / name)}

    def _entry(self, number: int) -> Path:
        return self.folder / ENTRIES / f"{number:04d}.yaml"

    def _arrays(self, number: int) -> Path:
        return self.folder / ARRAYS / f"{number:04d}.zarr"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else adds an entry."""
        try:
            with locked(self.folder / LOCK, PATIENCE):
                yield
        except BlockingIOError:
            raise InputError(f"{self.folder}: another run keeps writing there; try again") from None
        except FileNotFoundError:
            if self.folder.is_dir():
                raise
            raise InputError(f"{self.folder}: the twin's folder is gone; put it back") from None


def _entry(path: Path, number: int) -> Entry:
    said = _read(path)
    text = path.read_text("utf-8")
    if said.pop(SEAL, None) is not None and _sealed(text.rpartition(f"{SEAL}: ")[0]) != text:
        raise InputError(f"{path}: changed since it was written; restore it from a copy, and add what is new")
    try:
        return _made(said, number)
    except ValueError:
        raise InputError(f"{path}: is no entry of a twin; restore it from a copy") from None


def _sealed(text: str) -> str:
    """The text of an entry with its checksum in the last line: who changes a number by hand is told of it."""
    return f"{text}{SEAL}: {sha256(text.encode()).hexdigest()}\n"


def _made(said: dict[str, Any], number: int) -> Entry:
    """The entry that is said; ValueError if it is none."""
    try:
        numbers = {str(n): Number(float(one["value"]), str(one["unit"])) for n, one in said.pop("numbers", {}).items()}
        when = datetime.fromisoformat(said.pop("time"))
        if said.pop("number") != number or when.tzinfo is None:
            raise ValueError("number or time zone")
        if wrong := [name for name, one in numbers.items() if not possible(name, one)]:
            raise ValueError(", ".join(wrong))
        _check_blocks(said)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None
    return Entry(number, when, numbers, said)


def _check_blocks(said: dict[str, Any]) -> None:
    """Raise what is raised where tables and pages would meet a block of another shape."""
    for one in said.get("measurements", ()):
        str.encode(one["source"]["path"] + one["source"]["sha256"])
    for told in said.get("fit", {}).get("parameters", {}).values():
        str.encode(told["unit"])
        if not all(isinstance(told[key], float | int | None) for key in ("value", "error")):
            raise ValueError("a parameter that is no number")
    for block, keys in (("refused", ("sha256", "reason")), ("structure", ("name",))):
        if block in said:
            str.encode("".join(said[block][key] for key in keys))


def _read(path: Path) -> dict[str, Any]:
    try:
        return _loaded(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{path}: cannot be read as YAML; restore it from a copy") from None


def _loaded(text: str) -> dict[str, Any]:
    """A mapping of YAML; ValueError if it is none."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        said = yaml.load(text, loader)  # a safe loader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    if not isinstance(said, dict):
        raise ValueError("no mapping")
    return said


def _yaml(value: Mapping[str, Any]) -> str:
    said = _written_out(plain(dict(value)))
    return str(yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=120))


def _written_out(value: Any) -> Any:
    """Bytes of file names that are no text, as backslashes: YAML, pages and tables cannot hold them."""
    if isinstance(value, dict):
        return {_written_out(name): _written_out(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_written_out(one) for one in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _written(at: datetime | None) -> str:
    return (at or datetime.now(UTC)).isoformat(timespec="seconds")


def _now() -> str:
    return _written(None)
