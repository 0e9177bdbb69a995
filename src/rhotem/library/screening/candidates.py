"""Candidates of a screening: files, ready phases, and formulas put into the structure of another compound."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from rhotem.battery.builders.delithiate import MOBILE
from rhotem.core import InputError
from rhotem.core.units import DALTON_PER_A3
from rhotem.structure.model import Structure
from rhotem.structure.ordering import formal_charge

#: Kinds of elements that take each other's places: mobile ions, anions, and what is neither.
ION, ANION, METAL = "mobile ion", "anion", "metal"
#: Names in the folder of a screening that are its own.
RESERVED = ("library", "screen.csv", "record.json")


@dataclass(frozen=True, eq=False)
class Candidate:
    """A crystal to be judged: ``name`` as it was asked for, ``folder`` for files, ``prototype`` "" if it is its own."""

    name: str
    folder: str
    structure: Structure
    prototype: str = ""


def candidates_of(texts: Sequence[str], load: Callable[[str], Structure]) -> list[Candidate]:
    """The candidates, read.

    Parameters
    ----------
    texts : sequence of str
        ``LiCoO2`` or a file; ``LiCrO2@LiCoO2``: that formula in the structure of LiCoO2.
    load : callable
        Gives a crystal by file or name.

    Raises
    ------
    InputError
        If one cannot be read, does not fit its prototype, or is there twice.
    """
    made: list[Candidate] = []
    for text in texts:
        # a file may have an @ in its name or in that of a folder
        formula, at, prototype = ("", "", "") if "@" not in text or Path(text).is_file() else text.partition("@")
        if at and not (formula and prototype):
            raise InputError(f"screen: {text}: write FORMULA@PROTOTYPE, as LiCrO2@LiCoO2")
        structure = in_prototype(formula, load(prototype), prototype) if at else load(text)
        folder = re.sub(r"[^\w.+-]+", "-", f"{formula}{at}{Path(prototype or text).name}").strip("-.")
        if folder.lower() in ("", *RESERVED):
            raise InputError(
                f"screen: {text}: a folder {folder or 'of no name'} is not for candidates; name it otherwise"
            )
        # some file systems do not tell capitals apart
        twice = next((other for other in made if other.folder.lower() == folder.lower()), None)
        if twice is not None:
            raise InputError(f"screen: {text} and {twice.name} would share the folder {folder}; name one differently")
        made.append(Candidate(text, folder, structure, prototype if at else ""))
    if not made:
        raise InputError("screen: name candidates: files, ready phases, or FORMULA@PROTOTYPE as LiCrO2@LiCoO2")
    return made


def in_prototype(formula: str, crystal: Structure, prototype: str) -> Structure:
    """A formula in the structure of a crystal: elements that both have keep their sites, the others replace their like.

    Mobile ions replace mobile ions, anions anions, metals metals, each one of the same number; the lattice is that of
    the prototype, to be relaxed.

    Raises
    ------
    InputError
        If the numbers differ, or more than one assignment is possible.
    """
    wanted, own = _reduced(_parsed(formula)), _reduced(dict(crystal.atoms.symbols.formula.count()))
    if sorted(wanted.values()) != sorted(own.values()):
        raise InputError(f"screen: {formula} does not have the numbers of {prototype} ({crystal.formula})")
    exchange: dict[str, str] = {e: e for e in own if wanted.get(e) == own[e]}
    new = {e: n for e, n in wanted.items() if e not in exchange}
    for element, count in own.items():
        if element in exchange:
            continue
        like = [e for e, n in new.items() if n == count and kind_of(e) == kind_of(element)]
        if len(like) != 1:
            what = "more than one element" if like else "no element"
            raise InputError(
                f"screen: {formula} in {prototype}: {what} of the {kind_of(element)}s could take the sites of {element}"
                f" ({count} of a formula unit); build the file by rhotem structure build --replace"
            )
        exchange[element] = like[0]
    if sorted(exchange.values()) != sorted(wanted):
        raise InputError(f"screen: {formula} in {prototype}: two elements would take the same sites")
    atoms = crystal.atoms.copy()
    atoms.set_chemical_symbols([exchange[symbol] for symbol in atoms.symbols])
    told = ", ".join(f"{new} for {old}" for old, new in exchange.items() if old != new) or "nothing replaced"
    note = f"{formula} in the structure of {prototype}: {told}"
    kept = {key: value for key, value in crystal.info.items() if key not in ("name", "notes")}
    info = {**kept, "name": f"{formula}-{prototype.rpartition('/')[2]}", "notes": [note]}
    return Structure(atoms, crystal.charge, None, info)


def kind_of(element: str) -> str:
    """Whether an element is a mobile ion, an anion, or a metal (all others)."""
    if element in MOBILE:
        return ION
    return ANION if formal_charge(element) < 0 else METAL


def _parsed(formula: str) -> dict[str, int]:
    from ase.formula import Formula

    try:
        count = dict(Formula(formula).count())
    except (ValueError, KeyError):
        count = {}
    odd = [element for element in count if element not in chemical_symbols[1:]]
    if not count or odd:
        raise InputError(f"screen: {formula!r} is no formula; write LiCrO2@LiCoO2")
    return count


def _reduced(count: dict[str, int]) -> dict[str, int]:
    divisor = gcd(*count.values())
    return {element: n // divisor for element, n in count.items()}


def density_of(structure: Structure) -> float:
    """Mass density in g/cm³."""
    return float(structure.atoms.get_masses().sum() / structure.volume * DALTON_PER_A3)


def capacity_of(structure: Structure, ion: str, share: float) -> float:
    """Charge in mAh/g of the full crystal when ``share`` of its mobile ions leave, one electron each."""
    ions = float(np.count_nonzero(structure.atoms.symbols == ion)) * share
    return 96485.33212 * ions / 3.6 / float(structure.atoms.get_masses().sum())
