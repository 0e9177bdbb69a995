"""Search by measured contrast: "ABF Li contrast > 0.1 at 1e4 e/Å², 5-15 nm"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import func, select

from rhotem.core import InputError
from rhotem.library.catalogue.tables import contrasts, entries

if TYPE_CHECKING:
    from rhotem.library.entry import Entry
    from rhotem.library.store import Library

#: Counting noises of one column that a contrast must stand out by at a dose.
SEEN = 3.0
#: Foci of an evaluation anew, over the range of the response.
FOCI = 21

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ASKED = re.compile(
    rf"\s*(?P<image>[\w-]+)\s+(?P<label>[A-Z]\S*)\s+contrast\s*(?:>=?|≥|above)\s*(?P<least>{_NUMBER})"
    rf"(?:\s*at\s*(?P<dose>{_NUMBER})\s*e/(?:Å|A)(?:²|\^?2))?"
    rf"(?:\s*,?\s*(?P<from>{_NUMBER})\s*(?:-|–|to)\s*(?P<to>{_NUMBER})\s*nm)?\s*"
)


@dataclass(frozen=True)
class ContrastAsked:
    """A contrast that an entry must show.

    Parameters
    ----------
    image, label : str
        "ABF", "Li": a kind of column as `rhotem.analysis.columns` names it, "Li/Co".
    least : float
        Of its magnitude.
    dose : float or None
        e/Å², at which it is `SEEN` times the counting noise of one column; None: without noise.
    thickness : (float, float) or None
        nm.
    """

    image: str
    label: str
    least: float
    dose: float | None = None
    thickness: tuple[float, float] | None = None


@dataclass(frozen=True)
class Hit:
    """An entry and where it shows most; contrast and noise as `rhotem.library.contrast.Contrast`.

    ``snr``: magnitude of the contrast over the counting noise of one column at the dose; None without one.
    """

    entry: "Entry"
    thickness: float
    defocus: float
    contrast: float
    snr: float | None


def parse_contrast(text: str) -> ContrastAsked:
    """A contrast in words.

    Raises
    ------
    InputError
        If it is written otherwise.
    """
    met = _ASKED.fullmatch(text)
    if met is None:
        raise InputError(f"contrast {text!r}: write ABF Li contrast > 0.1 at 1e4 e/A2, 5-15 nm")
    deep = None if met["from"] is None else (float(met["from"]), float(met["to"]))
    if deep is not None and not 0 <= deep[0] <= deep[1]:
        raise InputError(f"contrast {text!r}: thickness from {deep[0]:g} to {deep[1]:g} nm; give the least first")
    dose = None if met["dose"] is None else float(met["dose"])
    if dose is not None and not dose > 0:
        raise InputError(f"contrast {text!r}: expected a positive dose")
    return ContrastAsked(met["image"], met["label"], float(met["least"]), dose, deep)


def by_contrast(library: "Library", asked: ContrastAsked, where: Sequence[Any] = (), limit: int = 50) -> list[Hit]:
    """Entries by their largest tabulated contrast, which meets all that is asked.

    Raises
    ------
    InputError
        If no entry has such an image or column; the message says which there are. Or if a dose is given for an image
        whose counting noise is not tabulated.
    """
    c = contrasts.c
    size = func.abs(c.contrast)
    met = [c.image == asked.image, c.label == asked.label, size > asked.least]
    if asked.thickness is not None:
        met.append(c.thickness.between(*asked.thickness))
    if asked.dose is not None:
        met.append(size * np.sqrt(asked.dose) >= SEEN * c.noise)
    if where:
        met.append(c.entry.in_(select(entries.c.id).where(*where)))
    best = select(c.entry, func.max(size).label("most")).where(*met).group_by(c.entry)
    best = best.order_by(func.max(size).desc(), c.entry).limit(limit)
    with library.catalogue.begin() as connection:
        top = [row.entry for row in connection.execute(best)]
        if not top:
            _check(connection, asked)
            return []
        columns = (c.entry, c.thickness, c.defocus, c.contrast, c.noise)
        rows = list(connection.execute(select(*columns).where(*met, c.entry.in_(top))))
    known = {entry.id: entry for entry in library.entries([entries.c.id.in_(top)])}
    hits = []
    for name in top:
        row = max((row for row in rows if row.entry == name), key=lambda row: abs(row.contrast))
        hits.append(Hit(known[name], row.thickness, row.defocus, row.contrast, _snr(row.contrast, row.noise, asked)))
    return hits


def _snr(contrast: float, noise: float | None, asked: ContrastAsked) -> float | None:
    if asked.dose is None or noise is None:
        return None
    return float(abs(contrast) * np.sqrt(asked.dose) / noise) if noise > 0 else None


def _check(connection: Any, asked: ContrastAsked) -> None:
    """Say so if nothing can meet it, whatever its contrast."""
    c = contrasts.c
    some = connection.execute(select(c.noise).where(c.image == asked.image, c.label == asked.label).limit(1)).first()
    if some is None:
        images = connection.execute(select(c.image).distinct()).scalars()
        labels = connection.execute(select(c.label).where(c.image == asked.image).distinct().limit(30)).scalars()
        raise InputError(
            f"no entry has an image {asked.image} with columns of {asked.label}; there are images "
            f"{', '.join(sorted(images)) or 'none'}; columns {', '.join(sorted(labels)) or 'none'}"
        )
    if asked.dose is not None and some.noise is None:
        raise InputError(f"{asked.image}: its counting noise is not tabulated; leave the dose out")


def anew(library: "Library", hits: Sequence[Hit], asked: ContrastAsked) -> list[Hit]:
    """The same entries evaluated from their responses at many foci and all of the thicknesses asked for, best first.

    What falls below what was asked is left out: the table has a few foci only, so that nothing should.
    """
    from rhotem.analysis.columns import Column
    from rhotem.library.contrast import contrasts as evaluated
    from rhotem.library.tabulated import Tabulated

    found = []
    for hit in hits:
        described, held = library.described(hit.entry.id), library.response(hit.entry.id)
        seen = described["picture"]["columns"]
        members = [Column(c["label"], np.array(c["position_A"]), c["atoms"]) for c in seen if c["label"] == asked.label]
        least, most = held.range.defocus
        foci = sorted({*np.linspace(0.1 * least, 0.1 * most, FOCI).tolist(), hit.defocus})
        if asked.thickness is not None:
            deep = [t for t in held.thicknesses if asked.thickness[0] <= 0.1 * t <= asked.thickness[1]]
            held = held.at(deep or [10.0 * hit.thickness])
        rows = [row for row in evaluated(Tabulated.of(held, foci), members) if row.image == asked.image]
        best = max(rows, key=lambda row: abs(row.contrast))
        snr = _snr(best.contrast, best.noise, asked)
        if abs(best.contrast) > asked.least and (asked.dose is None or snr is None or snr >= SEEN):
            found.append(Hit(hit.entry, best.thickness, best.defocus, best.contrast, snr))
    return sorted(found, key=lambda hit: -abs(hit.contrast))
