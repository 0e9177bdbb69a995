"""Entries to look at: those of a library, or folders with a response and what it was made from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rhotem.analysis.plan import Plan, load_plan
from rhotem.analysis.plan.file import read_document
from rhotem.core import InputError
from rhotem.core.output import RECORD
from rhotem.core.physics import PHYSICS
from rhotem.library.coefficients.store import open_fixed
from rhotem.library.density.summary import Summary, open_summary
from rhotem.library.layout import ABOUT, COEFFICIENTS, DENSITY, DESCRIPTION, RESPONSE
from rhotem.library.view.fixed import AnyLimits, FixedLimits
from rhotem.library.view.limits import Limits
from rhotem.library.view.make import PATTERNS
from rhotem.scattering.patterns import Patterns, open_patterns
from rhotem.scattering.response import open_response

#: Folders below the one that is asked for in which entries are looked for.
DEEPEST = 3
#: What records and libraries call free atoms.
FREE = ("free-atoms", "free atoms")


@dataclass(frozen=True)
class Entry:
    """A response on disk, or images of one lens.

    Parameters
    ----------
    id : str
        Its folder, seen from the one that was asked for; of a library its identifier.
    path : Path
        Of the response or the images.
    formula, zone, source : str
        Crystal, direction towards the source, and source of the density; "": not known.
    name : str
        What a library calls it, where that says more.
    """

    id: str
    path: Path
    formula: str = ""
    zone: str = ""
    source: str = ""
    name: str = ""

    @property
    def fixed(self) -> bool:
        """Whether it holds images of one lens, no response."""
        return self.path.name == COEFFICIENTS

    @property
    def title(self) -> str:
        """What a person picks it by."""
        known = " ".join(part for part in (self.formula, self.zone) if part)
        called = f"{self.name}: " if self.name not in ("", self.formula) else ""
        return f"{called}{known}, {self.source}{', one lens' if self.fixed else ''}" if known else self.id

    @cached_property
    def said(self) -> Mapping[str, Any]:
        """What lies beside the response: a record, or a library's description; nothing where it cannot be read."""
        for name in (RECORD, DESCRIPTION):
            path = self.path.parent / name
            if path.is_file():
                return _read(path)
        return {}

    @property
    def labels(self) -> dict[str, str]:
        """Crystal directions of ``x``, ``up`` and ``zone``."""
        labels = _within(self.said, "specimen", "imaging_cell", "labels") or _within(self.said, "picture", "axes")
        return {str(key): str(value) for key, value in labels.items()}

    @property
    def columns(self) -> list[tuple[str, float, float]]:
        """Label and place in Å of the columns of one cell."""
        rows = self.said.get("columns", _within(self.said, "picture").get("columns", []))
        try:
            places = [(row["label"], row.get("position_A") or (row["x_A"], row["y_A"])) for row in rows]
            return [(str(label), float(place[0]), float(place[1])) for label, place in places]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # written by something else
            return []

    @property
    def at_rest(self) -> bool:
        """Whether its plan says that no atom moves."""
        return _within(self._plan, "motion").get("phonons") == 0

    @property
    def has_plan(self) -> bool:
        """Whether something says what it was made from."""
        return bool(self._plan)

    def plan(self) -> Plan:
        """What it was made from.

        Raises
        ------
        InputError
            If nothing says that, or a builder made the structure, which no plan can say.
        """
        if (self.path.parent / RECORD).is_file():
            return load_plan(self.path.parent / RECORD)
        if not self._plan:
            raise InputError(f"{self.id}: no record says what it was made from, so there is no plan of it")
        if _within(self.said, "task").get("recipe"):
            raise InputError(f"{self.id}: a builder made its structure; take structure.cif beside the response instead")
        return Plan(**self._plan)

    @property
    def _plan(self) -> dict[str, Any]:
        return dict(_within(self.said, "plan") or _within(self.said, "task", "plan"))

    @property
    def twin_key(self) -> str:
        """Equal for entries that differ in the source of the density alone; "": no other is its twin."""
        plan = {key: value for key, value in self._plan.items() if key != "density"}
        task = {key: value for key, value in _within(self.said, "task").items() if key in ("recipe", "asked")}
        return json.dumps([plan, task], sort_keys=True) if plan else ""


@dataclass(frozen=True, eq=False)
class Opened:
    """An entry that is read, ready to answer.

    Parameters
    ----------
    entry : Entry
    limits : Limits or FixedLimits
        With its response or images.
    patterns : Patterns or None
    density : Summary or None
    without : str
        Why there is no summary of the density; "": there is one.
    remark : str
        What else is wrong with the entry; "": nothing.
    """

    entry: Entry
    limits: AnyLimits
    patterns: Patterns | None = None
    density: Summary | None = None
    without: str = ""
    remark: str = ""

    def summary(self) -> Summary:
        """The summary of the density.

        Raises
        ------
        InputError
            If there is none; the message says why.
        """
        if self.density is None:
            raise InputError(self.without)
        return self.density


def entries_in(folder: str | Path) -> list[Entry]:
    """Entries of a library, or in a folder, which may be one itself; by title, those of one lens last.

    Raises
    ------
    InputError
        If there is none.
    MissingDependencyError
        If it is a library, and what reads catalogues is missing.
    """
    top = Path(folder)
    if not top.is_dir():
        raise InputError(f"{top}: no folder; give one that holds entries (docs/view.md)")
    found = _catalogued(top) if (top / ABOUT).is_file() else [entry_of(p, top) for p in _responses(top, DEEPEST)]
    if not found:
        raise InputError(f"{top}: holds no entry; `rhotem response` makes entries (docs/view.md)")
    return sorted(found, key=lambda entry: (entry.fixed, entry.title, entry.id))


def named(entries: Sequence[Entry], name: str) -> list[Entry]:
    """Entries of that identifier, else those whose identifiers begin so, as a library's may be cut."""
    whole = [entry for entry in entries if entry.id == name]
    return whole or [entry for entry in entries if name and entry.id.startswith(name)]


def _catalogued(folder: Path) -> list[Entry]:
    """Entries of a library's catalogue."""
    from rhotem.library.store import Library

    with Library.open(folder) as library:
        return [
            Entry(row.id, row.path, row.formula, row.zone, row.source, row.title)
            for row in library.entries()
            if row.state == "good"
        ]


def _responses(folder: Path, deepest: int) -> Iterator[Path]:
    """Responses and images of one lens in a folder and below it; no link out of it is followed."""
    for name in (RESPONSE, COEFFICIENTS):
        if (folder / name).is_dir():
            yield folder / name
            return
    for path in sorted(folder.iterdir()):
        inside = path.is_dir() and not path.is_symlink() and path.suffix != ".zarr"
        if inside and deepest and not path.name.startswith("."):
            yield from _responses(path, deepest - 1)


def entry_of(path: Path, top: Path) -> Entry:
    """The entry of a response in the folder ``top``."""
    place = path.parent
    name = place.name if place == top else place.relative_to(top).as_posix()
    bare = Entry(name, path)
    specimen, density, row = (_within(bare.said, key) for key in ("specimen", "density", "entry"))
    formula = str(specimen.get("formula") or row.get("formula", ""))
    return Entry(name, path, formula, bare.labels.get("zone", ""), str(density.get("source") or row.get("source", "")))


def _read(path: Path) -> dict[str, Any]:
    try:
        content, _ = read_document(path)
    except InputError:
        return {}
    return content if isinstance(content, dict) else {}


def _within(said: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The table under these keys; empty where there is none, or something else: pictures do without."""
    for key in keys:
        inner = said.get(key)
        said = inner if isinstance(inner, dict) else {}
    return said


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
    held: AnyLimits = FixedLimits(open_fixed(entry.path)) if entry.fixed else Limits(open_response(entry.path))
    patterns, wrong = _patterns(entry)
    remarks = [remark for remark in (wrong, _older(entry)) if remark]
    return Opened(entry, held, patterns, *_density(entry), "; ".join(remarks))


def _older(entry: Entry) -> str:
    """What to say of an entry that another version of the physics made; "": this one, or not known."""
    made = _within(entry.said, "run").get("physics")
    if not isinstance(made, int) or made == PHYSICS:
        return ""
    return f"made with version {made} of the physics, this is {PHYSICS}: a run today gives slightly other numbers"


def _patterns(entry: Entry) -> tuple[Patterns | None, str]:
    """The patterns of an entry, and what is wrong with them: images do without them."""
    beside = entry.path.parent / PATTERNS
    try:
        return (open_patterns(beside) if beside.is_dir() else None), ""
    except InputError:
        return None, "its diffraction patterns are damaged: make the entry again"


def _density(entry: Entry) -> tuple[Summary | None, str]:
    """The summary of an entry's density, or None and why: images do without it."""
    if not (entry.path.parent / DENSITY).is_dir():
        if entry.source in FREE:
            return None, "Free atoms: there is no difference to free atoms to show."
        if entry.fixed:
            return None, "Entries of one lens keep no summary of the density: no slices, no error bars."
        return None, "This entry was made without a summary of its density: no slices, no error bars. Make it again."
    try:
        return open_summary(entry.path.parent / DENSITY), ""
    except InputError as error:
        return None, f"No slices, no error bars: {error}."


def twins(entry: Entry, entries: Sequence[Entry]) -> list[Entry]:
    """Others of the same specimen and microscope from another density."""
    alike = [e for e in entries if e.id != entry.id and (e.formula, e.zone) == (entry.formula, entry.zone)]
    key = entry.twin_key if alike else ""
    return [other for other in alike if key and other.twin_key == key]
