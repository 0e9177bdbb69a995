"""Inputs of Quantum ESPRESSO's pw.x: lattice by vectors or by ``ibrav``, positions in any of its units.

Quantum ESPRESSO, INPUT_PW: namelist &SYSTEM, cards CELL_PARAMETERS and ATOMIC_POSITIONS.
"""

import ast
import operator
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rhotem.core import InputError
from rhotem.core.units import BOHR
from rhotem.structure.read.bravais import LATTICES, lattice_vectors, place_in_celldm
from rhotem.structure.read.contents import Contents, Floats, Text, number
from rhotem.structure.read.elements import Reading, isotopes_remark, of_symbol

Settings = dict[str, str]
#: Cards of pw.x, at which the one before ends.
CARDS = "ATOMIC_|K_POINTS|ADDITIONAL_K|CELL_PARAMETERS|CONSTRAINTS|OCCUPATIONS|HUBBARD|SOLVENTS|&"
#: What a value of a namelist is set to: name, index, and all until the next name.
_NAME = r"([a-z_]\w*)\s*(?:\(\s*([\d\s,]+?)\s*\))?\s*="
_NEXT = r"[,;\s]*[a-z_]\w*\s*(?:\([\d\s,]*\))?\s*="
_SET = re.compile(rf"{_NAME}\s*(.*?)(?={_NEXT}|$)", re.S)
#: Of formulas in place of numbers.
OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


class Card(NamedTuple):
    """A card: the unit behind its name, and its lines with their numbers."""

    unit: str
    rows: list[tuple[int, str]]


def is_espresso(head: str) -> bool:
    """Whether a text is an input of pw.x."""
    return bool(re.search(r"(?mi)^\s*&system\b", head) and re.search(r"(?mi)^\s*ATOMIC_POSITIONS", head))


def read_espresso(text: Text) -> Contents:
    """Structure of an input of pw.x.

    Raises
    ------
    InputError
        A lattice that is not stated or contradicts itself, atoms by space group, rows that are no atoms.
    """
    system, cards = _system(text), _cards(text)
    a = _length(text, system)
    cell, alat = _cell(text, system, cards, a)
    symbols, places, isotopes = _atoms(text, cards["atomic_positions"].rows, _whole(text, system, "nat"))
    unit = cards["atomic_positions"].unit or "alat"
    if unit == "crystal_sg" or "space_group" in system:
        raise InputError(
            f"{text.path}: its atoms are the asymmetric unit of a space group; pw.x lists all of them in its output, "
            "read that, or give a CIF"
        )
    units = {"crystal": cell, "bohr": np.eye(3) * BOHR, "angstrom": np.eye(3), "alat": np.eye(3) * alat}
    if unit not in units:
        raise InputError(f"{text.path}: ATOMIC_POSITIONS {unit}: expected {', '.join(units)}")
    notes = list(isotopes_remark(text.path.name, isotopes))
    if any(key.startswith("starting_magnetization") for key in system):
        notes.append(f"{text.path.name}: starting magnetizations are guesses, not moments, and are not used")
    if _whole(text, system, "ibrav") == -13 and unit == "crystal":
        notes.append(f"{text.path.name}: ibrav = -13 is read as since pw.x 6.4.1, whose first two vectors are others")
    return Contents(cell, np.array(places) @ units[unit], tuple(symbols), notes=tuple(notes))


def _system(text: Text) -> Settings:
    """Settings of the namelist &SYSTEM, ``celldm(1)``, in lower case."""
    bare = "\n".join(re.sub(r"!.*", "", re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "''", line)) for line in text.lines)
    match = re.search(r"(?mis)^\s*&system\b(.*?)(?:^\s*/|/\s*$|&end)", bare)
    if match is None:
        raise InputError(f"{text.path}: &SYSTEM does not end; the file is truncated")
    found: Settings = {}
    for name, index, value in _SET.findall(match[1].lower().strip()):
        values = _repeated(value)
        first = int(index.split(",")[0]) if index else 1
        many = index or len(values) > 1 or name == "celldm"
        found |= {f"{name}({first + n})" if many else name: word for n, word in enumerate(values)}
    return found


def _repeated(value: str) -> list[str]:
    """Words of a value, ``3*0.0`` written out."""
    found: list[str] = []
    for word in re.split(r"[\s,;]+", value.strip(" \t\n,;")):
        count, star, what = word.rpartition("*")
        found += [what] * (int(count) if star and count.isdigit() else 1)
    return found


def _cards(text: Text) -> dict[str, Card]:
    """Cards by name, in lower case."""
    found: dict[str, Card] = {}
    current: list[tuple[int, str]] | None = None
    for line in text:
        bare = re.split(r"[!#]", line)[0].strip()
        head = re.match(rf"(?i)({CARDS})", bare)
        if head is not None:
            words = re.split(r"[\s{{}}()]+", bare.lower())
            if words[0] in found and words[0] in ("cell_parameters", "atomic_positions"):
                raise InputError(f"{text.path}: line {text.number} is a second {words[0].upper()}; keep one")
            current = []
            found[words[0]] = Card(next((word for word in words[1:] if word), ""), current)
        elif bare and current is not None:
            current.append((text.number, bare))
    if "atomic_positions" not in found:
        raise InputError(f"{text.path}: has no ATOMIC_POSITIONS")
    return found


def _value(text: Text, system: Settings, name: str) -> float | None:
    """A number of &SYSTEM; None if it is not set."""
    word = system.get(name)
    try:
        return None if word is None else number(word)
    except ValueError:
        raise InputError(f"{text.path}: {name} = {word} in &SYSTEM, expected a number") from None


def _whole(text: Text, system: Settings, name: str) -> int:
    value = _value(text, system, name)
    if value is None or value != int(value):
        raise InputError(f"{text.path}: &SYSTEM sets no whole number {name}")
    return int(value)


def _length(text: Text, system: Settings) -> float | None:
    """The lattice parameter a in Å; None if there is none."""
    one, other = _value(text, system, "celldm(1)"), _value(text, system, "a")
    if one and other:
        raise InputError(f"{text.path}: both celldm(1) and A are set in &SYSTEM; leave one out")
    return one * BOHR if one else other or None


def _cell(text: Text, system: Settings, cards: dict[str, Card], a: float | None) -> tuple[Floats, float]:
    """Lattice vectors, and the unit ``alat`` in Å."""
    if "ibrav" not in system and "space_group" in system:
        return np.eye(3), 1.0  # refused once its atoms are seen
    ibrav = _whole(text, system, "ibrav")
    card = cards.get("cell_parameters")
    if ibrav == 0:
        if card is None:
            raise InputError(f"{text.path}: ibrav = 0 needs the card CELL_PARAMETERS")
        cell = _vectors(text, card, a)
        return cell, a or float(np.linalg.norm(cell[0]))
    if card is not None:
        raise InputError(f"{text.path}: ibrav = {ibrav} and CELL_PARAMETERS both state the lattice; keep one")
    if a is None:
        raise InputError(f"{text.path}: ibrav = {ibrav} needs celldm(1) or A")
    more: dict[str, float] = {}
    for name in LATTICES[ibrav].needs if ibrav in LATTICES else ():
        ratio = _value(text, system, f"celldm({place_in_celldm(ibrav, name)})")
        plain = _value(text, system, name if len(name) == 1 else f"cos{name}")
        scale = a if len(name) == 1 else 1.0
        if "celldm(1)" in system and ratio is not None:
            more[name] = ratio * scale
        elif "celldm(1)" not in system and plain is not None:
            more[name] = plain
    try:
        return lattice_vectors(ibrav, a, more), a
    except InputError as error:
        raise InputError(f"{text.path}: {error}") from None


def _vectors(text: Text, card: Card, a: float | None) -> Floats:
    """Vectors of the card CELL_PARAMETERS in Å."""
    unit = card.unit.split("=")[0] or ("alat" if a else "bohr")
    units = {"alat": a, "bohr": BOHR, "angstrom": 1.0}
    if unit not in units:
        raise InputError(f"{text.path}: CELL_PARAMETERS {unit}: expected {', '.join(units)}")
    length = units[unit]
    if length is None:
        raise InputError(f"{text.path}: CELL_PARAMETERS alat needs celldm(1) or A")
    try:
        rows = [[number(word) for word in row.replace(",", " ").split()[:3]] for _, row in card.rows[:3]]
        vectors = np.array(rows, dtype=np.float64).reshape(3, 3)
    except ValueError:
        raise InputError(f"{text.path}: CELL_PARAMETERS holds no three vectors") from None
    return vectors * length


def _atoms(text: Text, rows: list[tuple[int, str]], nat: int) -> tuple[list[str], list[list[float]], list[str]]:
    """Symbols, places and isotopes of ``nat`` atoms."""
    if len(rows) != nat:
        raise InputError(f"{text.path}: nat = {nat}, ATOMIC_POSITIONS lists {len(rows)} atoms; correct either")
    symbols: list[str] = []
    places: list[list[float]] = []
    isotopes: list[str] = []
    for line, row in rows:
        words = row.split()
        reading = _element(words[0])
        try:
            place = [_evaluated(word) for word in words[1:4]]
        except ValueError:
            place = []
        if reading is None or len(place) < 3:
            raise InputError(f"{text.path}: line {line} is {row[:60]!r}, expected an atom: label and three numbers")
        symbols.append(reading.symbol)
        isotopes.append(reading.isotope)
        places.append(place)
    return symbols, places, isotopes


def _element(label: str) -> Reading | None:
    """Element of ``Fe``, ``Fe1``, ``Fe_u``, ``C-h``."""
    letters = re.match(r"[A-Za-z]+", label)
    return None if letters is None else of_symbol(letters[0].capitalize()) or of_symbol(letters[0][0].upper())


def _evaluated(word: str) -> float:
    """A number, or what pw.x takes for one: ``1/3``, ``0.5*3^(-1/2)``; ValueError for anything else."""
    try:
        return number(word)
    except ValueError:
        if not re.fullmatch(r"[-+*/^().\deEdD]+", word):
            raise
    try:
        tree = ast.parse(re.sub("[dD]", "e", word).replace("^", "**"), mode="eval").body
        return number(repr(_calculated(tree)))
    except (SyntaxError, ArithmeticError, RecursionError, TypeError):
        raise ValueError(word) from None


def _calculated(tree: ast.expr) -> float:
    """Value of a formula in numbers alone."""
    if isinstance(tree, ast.BinOp):
        return float(OPERATORS[type(tree.op)](_calculated(tree.left), _calculated(tree.right)))
    if isinstance(tree, ast.UnaryOp):
        sign = -1.0 if isinstance(tree.op, ast.USub) else 1.0
        return sign * _calculated(tree.operand)
    if isinstance(tree, ast.Constant):
        return float(tree.value)  # type: ignore[arg-type]  # letters were refused before
    raise TypeError
