"""Entries in a folder: responses with what they were made from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rhotem.analysis.plan.file import read_document
from rhotem.core import InputError
from rhotem.core.output import RECORD
from rhotem.library.view.limits import Limits
from rhotem.library.view.make import PATTERNS, RESPONSE
from rhotem.microscope.patterns import Patterns, open_patterns
from rhotem.microscope.response import open_response

#: Folders below the one that is asked for in which entries are looked for.
DEEPEST = 3


@dataclass(frozen=True)
class Entry:
    """A response on disk.

    Parameters
    ----------
    id : str
        Its folder, seen from that of the library.
    path : Path
        Of the response.
    record : dict
        What it was made from; empty where nothing says so.
    """

    id: str
    path: Path
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def formula(self) -> str:
        """Of the crystal; "": not known."""
        return str(self.record.get("specimen", {}).get("formula", ""))

    @property
    def labels(self) -> dict[str, str]:
        """Crystal directions of ``x``, ``up`` and ``zone``."""
        said = self.record.get("specimen", {}).get("imaging_cell", {}).get("labels", {})
        return {str(key): str(value) for key, value in said.items()}

    @property
    def source(self) -> str:
        """Of the density; "": not known."""
        return str(self.record.get("density", {}).get("source", ""))

    @property
    def title(self) -> str:
        """What a person picks it by."""
        known = " ".join(part for part in (self.formula, self.labels.get("zone", "")) if part)
        return f"{known}, {self.source}" if known else self.id

    @property
    def plan(self) -> dict[str, Any]:
        """The plan, as its record has it."""
        return dict(self.record.get("plan", {}))

    @property
    def twin_key(self) -> str:
        """Equal for entries that differ in the source of the density alone; "": no other is its twin."""
        plan = {key: value for key, value in self.plan.items() if key != "density"}
        return repr(sorted(plan.items(), key=lambda item: item[0])) if plan else ""


@dataclass(frozen=True, eq=False)
class Opened:
    """An entry that is read, ready to answer.

    Parameters
    ----------
    entry : Entry
    limits : Limits
        With its response.
    patterns : Patterns or None
    """

    entry: Entry
    limits: Limits
    patterns: Patterns | None = None

    @cached_property
    def columns(self) -> list[tuple[str, float, float]]:
        """Label and place in Å of the columns of one cell."""
        said = self.entry.record.get("columns", [])
        return [(str(row["label"]), float(row["x_A"]), float(row["y_A"])) for row in said]


def entries_in(folder: str | Path) -> list[Entry]:
    """Entries in a folder, by name: it may be one itself.

    Raises
    ------
    InputError
        If there is none.
    """
    top = Path(folder)
    if not top.is_dir():
        raise InputError(f"{top}: no folder; give one that holds entries (docs/view.md)")
    found = [entry_of(path, top) for path in _responses(top, DEEPEST)]
    if not found:
        raise InputError(
            f"{top}: holds no entry, that is no {RESPONSE}; `rhotem response` makes entries (docs/view.md)"
        )
    return sorted(found, key=lambda entry: entry.id)


def _responses(folder: Path, deepest: int) -> Iterator[Path]:
    """Responses in a folder and below it; no link out of it is followed."""
    if (folder / RESPONSE).is_dir():
        yield folder / RESPONSE
        return
    for path in sorted(folder.iterdir()):
        if (
            path.is_dir()
            and not path.is_symlink()
            and not path.name.startswith(".")
            and deepest
            and path.suffix != ".zarr"
        ):
            yield from _responses(path, deepest - 1)


def entry_of(path: Path, top: Path) -> Entry:
    """The entry of a response; a record that cannot be read counts as none."""
    place = path.parent
    name = place.name if place == top else place.relative_to(top).as_posix()
    record: Any = {}
    if (place / RECORD).is_file():
        try:
            record, _ = read_document(place / RECORD)
        except InputError:
            record = {}
    return Entry(name, path, record if isinstance(record, dict) else {})


def open_entry(entry: Entry | str | Path) -> Opened:
    """Read an entry, or the one in a folder.

    Raises
    ------
    InputError
        If it is damaged, or there are several in that folder.
    """
    if not isinstance(entry, Entry):
        found = entries_in(entry)
        if len(found) > 1:
            raise InputError(f"{entry}: holds {len(found)} entries, {found[0].id} to {found[-1].id}; name one")
        entry = found[0]
    response = open_response(entry.path)
    beside = entry.path.parent / PATTERNS
    return Opened(entry, Limits(response), open_patterns(beside) if beside.is_dir() else None)


def twins(entry: Entry, entries: Sequence[Entry]) -> list[Entry]:
    """Others of the same specimen and microscope from another density."""
    key = entry.twin_key
    return [other for other in entries if other is not entry and key and other.twin_key == key]
