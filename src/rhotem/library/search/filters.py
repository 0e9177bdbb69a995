"""What entries are: conditions on the rows of the catalogue."""

import math
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, or_, select

from rhotem.core import InputError
from rhotem.library.catalogue.tables import contrasts, elements, entries


@dataclass(frozen=True)
class Filter:
    """Conditions that an entry meets; those left out count for nothing.

    Parameters
    ----------
    formula : str or None
        Whatever the order of its elements: CoLiO2 is LiCoO2.
    elements : tuple of str
        All of these are there.
    without : tuple of str
        None of these is there.
    prototype : str or None
        "ABC2 166", or a part of it.
    spacegroup : int or None
    defect : str or None
        A part of what the builder did: "vacancy Li"; "none": nothing.
    zone : str or None
        "[100]" or "1,0,0".
    preset, source : str or None
    title : str or None
        A part of it.
    thickness : (float, float) or None
        nm; an entry holds one between these.
    energy : float or None
        keV.
    """

    formula: str | None = None
    elements: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    prototype: str | None = None
    spacegroup: int | None = None
    defect: str | None = None
    zone: str | None = None
    preset: str | None = None
    source: str | None = None
    title: str | None = None
    thickness: tuple[float, float] | None = None
    energy: float | None = None

    def conditions(self) -> list[Any]:
        """For `rhotem.library.store.Library.entries`.

        Raises
        ------
        InputError
            If a formula, an element or a zone is none, or a number.
        """
        for name, value in (("energy", self.energy), *(("thickness", end) for end in self.thickness or ())):
            if value is not None and not math.isfinite(value):
                raise InputError(f"{name} {value:g}: expected a number")
        if self.thickness is not None and self.thickness[0] > self.thickness[1]:
            raise InputError(f"thickness from {self.thickness[0]:g} to {self.thickness[1]:g} nm: give the least first")
        c = entries.c
        met: list[Any] = [c.id.in_(_with(_element(symbol))) for symbol in self.elements]
        met += [c.id.not_in(_with(_element(symbol))) for symbol in self.without]
        if self.formula is not None:
            met.append(c.formula == reduced(self.formula))
        for column, part in ((c.prototype, self.prototype), (c.title, self.title)):
            if part is not None:
                met.append(column.icontains(part, autoescape=True))
        if self.defect is not None:
            nothing = self.defect.lower() == "none"
            met.append(c.defect == "" if nothing else c.defect.icontains(self.defect, autoescape=True))
        if self.zone is not None:
            met.append(c.zone == zone_label(self.zone))
        exact = ((c.spacegroup, self.spacegroup), (c.preset, self.preset), (c.source, self.source))
        met += [column == value for column, value in exact if value is not None]
        if self.energy is not None:
            met += [c.energy.between(self.energy - 1e-3, self.energy + 1e-3)]
        if self.thickness is not None:
            met.append(_holds(*self.thickness))
        return met


def _holds(least: float, most: float) -> Any:
    """A thickness between these; where no contrast says which there are, the range from thinnest to thickest counts."""
    c, own = entries.c, contrasts.c.entry == entries.c.id
    between = select(own).where(own, contrasts.c.thickness.between(least, most)).exists()
    untold = ~select(own).where(own).exists()
    ends = or_(c.thinnest.between(least, most), c.thickest.between(least, most))
    return and_(c.thinnest <= most, c.thickest >= least, or_(ends, between, untold))


def _with(symbol: str) -> Any:
    return select(elements.c.entry).where(elements.c.symbol == symbol)


def _element(text: str) -> str:
    from ase.data import chemical_symbols

    symbol = text.strip().capitalize()
    if symbol not in chemical_symbols[1:]:
        raise InputError(f"element {text!r}: no element; write its symbol, Li")
    return symbol


def reduced(text: str) -> str:
    """A formula as entries have it.

    Raises
    ------
    InputError
        If it is none.
    """
    from ase import Atoms

    from rhotem.structure.model import Structure

    try:
        atoms = Atoms(text.strip())
        if not len(atoms):
            raise ValueError
    except (ValueError, KeyError):
        raise InputError(f"formula {text!r}: not readable; write LiCoO2, or Na3V2(PO4)3") from None
    return Structure(atoms).formula


def zone_label(text: str) -> str:
    """A zone axis as entries have it."""
    from rhotem.core.words import parse_indices
    from rhotem.structure.indices import label

    return text.strip() if re.fullmatch(r"\[.*\]", text.strip()) else label(parse_indices(text))
