"""Entries that a person looks for: by words, by what their columns show, by a similar structure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rhotem.core import InputError
from rhotem.library.layout import ABOUT, STRUCTURE, THUMBNAIL
from rhotem.library.view.desk import Desk
from rhotem.library.view.entries import Entry

if TYPE_CHECKING:
    from rhotem.experiment.measurement import Measurement
    from rhotem.library.search.picture import Match

#: Entries that are listed at most, and bytes of a thumbnail that is shown.
LISTED, THUMB = 100, 20_000
#: Entries that are shown for a picture.
ALIKE = 10


@dataclass(frozen=True)
class Found:
    """An entry, and what it was found by: its contrast or distance in words; "": its name."""

    entry: Entry
    why: str = ""

    @property
    def thumbnail(self) -> bytes:
        """Its picture as PNG; empty where there is none."""
        path = self.entry.path.parent / THUMBNAIL
        if not path.is_file() or path.stat().st_size > THUMB:
            return b""
        content = path.read_bytes()
        return content if content[:4] == b"\x89PNG" else b""


def library_of(desk: Desk) -> Path | None:
    """The library whose entries a desk has; None: folders of `rhotem response`, which have no catalogue."""
    above = desk.opened.entry.path.parents
    return above[3] if len(above) > 3 and (above[3] / ABOUT).is_file() else None


def found(desk: Desk, words: str = "", contrast: str = "", like: Entry | None = None) -> list[Found]:
    """Entries of a desk that meet all that is asked, `LISTED` at most.

    Parameters
    ----------
    desk : Desk
    words : str
        As `Desk.found`.
    contrast : str
        "ABF Li contrast > 0.1 at 1e4 e/A2, 5-15 nm": largest first.
    like : Entry or None
        Nearest structures to that of this entry first.

    Raises
    ------
    InputError
        If a contrast or structure is asked of entries without a catalogue, or cannot be.
    """
    named = {entry.id for entry in desk.found(words)}
    if contrast.strip():
        rows = _by_contrast(desk, contrast)
    elif like is not None:
        rows = _like(desk, like)
    else:
        rows = [Found(entry) for entry in desk.entries.values()]
    return [row for row in rows if row.entry.id in named][:LISTED]


def look_alikes(folder: Path, entries: Mapping[str, Entry], picture: "Measurement") -> tuple[list[Found], str]:
    """Entries of a library that look like a measured picture, and what to say of them; `ALIKE` at most.

    Parameters
    ----------
    folder : Path
        Of the library.
    entries : mapping of str to Entry
        Those that may be shown, by identifier.
    picture : Measurement

    Raises
    ------
    InputError
        As `rhotem.library.search.picture.by_picture`.
    """
    from rhotem.library.search.picture import by_picture
    from rhotem.library.store import Library

    with Library.open(folder) as library:
        matches = by_picture(library, picture, limit=ALIKE)
    shown, name = matches.shown, picture.source.path or "the picture"
    said = f"{len(shown)} entries look" if len(shown) > 1 else "1 entry looks"
    said = matches.verdict(name) or f"{said} like {name}"
    rows = [Found(entries[m.entry.id], _match(m)) for m in shown if m.entry.id in entries]
    return rows, said


def _match(found: "Match") -> str:
    """A match in a few words."""
    like = found.likeness
    others = "" if found.others is None else f", {100 * found.others:.1f} % of others as like"
    turned = f"{like.angle:.0f}°{' mirrored' if like.mirrored else ''}"
    place = f"{found.thickness:.3g} nm, defocus {found.defocus:.2g} nm, turned {turned}"
    return f"{found.image} {like.score:.3f}, {place}{others}"


def _by_contrast(desk: Desk, text: str) -> list[Found]:
    from rhotem.library.search.contrast import by_contrast, parse_contrast
    from rhotem.library.store import Library

    asked = parse_contrast(text)
    with Library.open(catalogued(desk)) as library:
        hits = by_contrast(library, asked, limit=len(desk.entries))
    said = {hit.entry.id: f"{hit.contrast:.3g} at {hit.thickness:.3g} nm, {hit.defocus:g} nm" for hit in hits}
    return [Found(desk.entries[name], why) for name, why in said.items() if name in desk.entries]


def _like(desk: Desk, entry: Entry) -> list[Found]:
    from rhotem.library.search.similar import similar
    from rhotem.library.store import Library
    from rhotem.structure.read import read_structure

    folder = catalogued(desk)
    crystal = read_structure(entry.path.parent / STRUCTURE)
    with Library.open(folder) as library:
        nearest = similar(library, crystal, len(desk.entries))
    return [Found(desk.entries[e.id], f"distance {d:.3f}") for e, d in nearest if e.id in desk.entries]


def catalogued(desk: Desk) -> Path:
    """The library of a desk's entries.

    Raises
    ------
    InputError
        If they are of none.
    """
    folder = library_of(desk)
    if folder is None:
        raise InputError("these entries have no catalogue: contrasts and structures are searched in libraries")
    return folder
