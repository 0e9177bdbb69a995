"""Elements from symbols, oxidation states and labels as files write them."""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass

#: Isotopes of hydrogen: electrons see no difference.
ISOTOPES = {"D": "H", "T": "H"}
#: Labels of water oxygens in mineral and MD files.
WATER = ("WAT", "OW", "WTR")
#: Type symbols of groups, and the atom that has the place; their hydrogens have none.
GROUPS = {"OH": "O", "H2O": "O", "OH2": "O", "H3O": "O", "HOH": "O", "NH4": "N", "NH3": "N", "NH2": "N", "CH3": "C"}
#: Labels that stand for no atom.
DUMMIES = ("DUM", "DU", "XX", "CEN", "CENT", "CNT", "VA", "VAC", "VACANCY", "BQ", "GH", "Q", "LP")
#: Beginnings of labels that name a kind of site (cation, octahedron, tetrahedron, ion, position), not an element.
SITES = ("CAT", "OCT", "TET", "ION", "POS")
#: Heaviest element that a label would mean.
_HEAVIEST = 96
_CHARGE = re.compile(r"[+-]?\d*\.?\d*[+-]?\d*\.?\d*$")
_PART = re.compile(r"\s*(\d*\.?\d+)?\s*\*?\s*([A-Z][a-z]?)(?:\d*\.?\d*[+-])?\s*:?\s*(\d*\.?\d+)?\s*")


@dataclass(frozen=True)
class Reading:
    """An element read from text: its symbol, the isotope's name if it is one of hydrogen, and a remark or ''."""

    symbol: str
    isotope: str = ""
    note: str = ""


def isotopes_remark(name: str, isotopes: Iterable[str]) -> tuple[str, ...]:
    """What a file's reader says of atoms that are isotopes of hydrogen; ``isotopes``: of every atom, "" if of none."""
    return (f"{name}: D or T is read as H; electrons see no difference",) if any(isotopes) else ()


def is_element(symbol: str) -> bool:
    """Whether a text is the symbol of an element, written properly."""
    from ase.data import atomic_numbers

    return atomic_numbers.get(symbol, 0) > 0


def of_symbol(text: str) -> Reading | None:
    """Element of a type symbol: ``Fe``, ``FE``, ``Fe3+``, ``O2-``, ``Fe_pv``, ``D``, ``26``; None if it is no such.

    ``Si(IV)``, ``O-H`` and other words behind the symbol are dropped if what stands before them is an element.
    """
    from ase.data import chemical_symbols

    word = text.strip().strip("'\"")
    if word.isdigit():
        z = int(word)
        return Reading(chemical_symbols[z]) if 0 < z < len(chemical_symbols) else None
    word = re.split(r"[_/(\s]", word, maxsplit=1)[0]
    named = _by_name(word)
    if named is not None:
        return named
    match = re.match(r"\d*([A-Za-z]{1,3})(.*)$", word)
    if match is None or not _CHARGE.fullmatch(match[2]):
        return None
    return _plain(match[1].capitalize())


def of_group(text: str) -> Reading | None:
    """The atom that has the place of a group written as one: ``OH``, ``H2O``, ``NH4+``; None if the text is none."""
    heavy = GROUPS.get(text.strip().rstrip("+-"))
    return Reading(heavy, note=f"{text} is read as {heavy}; its H have no places and are missing") if heavy else None


def of_label(label: str, known: Container[str] = ()) -> Reading | None:
    """Element of a site label: ``Na1``, ``NA1``, ``li2``, ``Ow1``, ``O1A``; None if it names none.

    Parameters
    ----------
    label : str
    known : container of str
        Elements of the file's formula; decides where two readings are possible (``HO1``, ``CO2``, ``W1``).
    """
    letters = re.match(r"[A-Za-z]*", label.strip().strip("'\""))
    word = letters[0] if letters else ""
    if not word or word.upper() in DUMMIES or word.upper() in SITES:
        return None
    if word == "T" and "H" not in known:  # tetrahedral sites of silicates; tritium is said by its type symbol
        return None
    if word.upper() in WATER or word.upper().startswith("WAT"):
        return Reading("O", note=f"{label} is read as the oxygen of water")
    if re.match(r"[A-Z][a-z]{3,}", word):
        return _by_name(word)
    if word.upper() == "W" and known and "W" not in known and "O" in known:
        return Reading("O", note=f"{label} is read as the oxygen of water")
    two, one = _plain(word[:2].capitalize()) if len(word) > 1 else None, _plain(word[0].upper())
    if two is not None and _number(two.symbol) > _HEAVIEST and two.symbol not in known:
        two = None
    if two is None or one is None:
        return two or one
    if known:
        if (two.symbol in known) != (one.symbol in known):
            return two if two.symbol in known else one
    elif word[1].isupper() and word[0].isupper():
        if not word.isupper():
            return one  # HOh, OBr: capitals begin names
        return Reading(two.symbol, two.isotope, f"{label} is read as {two.symbol}, not {one.symbol}")
    # Nb, Ob, Hw: a small second letter belongs to the symbol wherever there is such an element
    return two


def mixture(text: str) -> dict[str, float] | None:
    """Shares of ``0.8Ni + 0.1Co + 0.1Mn``, ``(Ni0.8Co0.2)`` or ``Fe0.5, Mg0.5``; None if the text is no mixture."""
    bare = text.strip().strip("'\"").strip("()[]{} ")
    # behind each element: its share, a charge or colon between them (Fe0.5Mg0.5, Fe2+0.5 Mg2+0.5, Fe:0.5, Mg:0.5)
    parts = [piece[0] for piece in re.finditer(r"[A-Z][a-z]?(?:\d?[+-])?\s*:?\s*\d*\.\d+", bare)]
    if re.sub(r"[\s,;]", "", "".join(parts)) != re.sub(r"[\s,;]", "", bare):
        parts = [part for part in re.split(r"\s*[+,/;&]\s*(?=[\dA-Z.(])", bare) if part]
    shares: dict[str, float] = {}
    for part in parts:
        match = _PART.fullmatch(part)
        if match is None or not is_element(match[2]) or (match[1] is None) == (match[3] is None):
            return None
        shares[match[2]] = shares.get(match[2], 0.0) + float(match[1] or match[3])
    return shares if len(shares) > 1 else None


def names_several(text: str) -> bool:
    """Whether a text names several elements without their shares: ``Fe,Mg``, ``Al/Si1``."""
    parts = re.split(r"[,/;:&]\s*|(?<=[A-Za-z])\+(?=[A-Z])", text.strip().strip("'\"()"))
    return len(parts) > 1 and all(is_element(re.sub(r"\d.*$", "", part.strip())) for part in parts)


def _plain(symbol: str) -> Reading | None:
    if symbol in ISOTOPES:
        return Reading(ISOTOPES[symbol], symbol)
    return Reading(symbol) if is_element(symbol) else None


def _by_name(word: str) -> Reading | None:
    """``Sodium``."""
    from ase.data import atomic_names, chemical_symbols

    return Reading(chemical_symbols[atomic_names.index(word)]) if word in atomic_names[1:] and word else None


def _number(symbol: str) -> int:
    from ase.data import atomic_numbers

    return int(atomic_numbers[symbol])
