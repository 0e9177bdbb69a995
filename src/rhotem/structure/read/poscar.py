"""POSCAR and CONTCAR of VASP 4 to 6, and the same header in CHGCAR, AECCAR, LOCPOT and PARCHG.

VASP wiki, "POSCAR": title, scale (one, negative: the volume; or three), lattice, symbols, counts, selective dynamics,
Direct or Cartesian, positions with flags.
"""

from pathlib import Path
from typing import Protocol

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Contents, Floats, Text, number
from rhotem.structure.read.elements import Reading, isotopes_remark, of_symbol


class Lines(Protocol):
    """Lines of a file one after another; `Text` and the reader of densities both are such."""

    number: int

    @property
    def path(self) -> Path:
        """The file."""

    def need(self, what: str) -> str:
        """Next line; InputError at the end of the file."""


def read_poscar(text: Text) -> Contents:
    """Structure of a POSCAR, or of the head of a volumetric file.

    Raises
    ------
    InputError
        Missing symbols, numbers that are none, atoms beyond the counts.
    """
    contents = read_header(text)
    line = text.peek()
    if len(line.split()) >= 3 and _are_numbers(line.split()[:3]):
        raise InputError(
            f"{text.path}: line {text.number + 1} is one more position than the counts say ({len(contents.symbols)}); "
            "correct the counts, or leave an empty line before velocities"
        )
    return contents


def read_header(text: Lines) -> Contents:
    """Title to positions; ``text`` stands behind the last position afterwards.

    Raises
    ------
    InputError
        See `read_poscar`.
    """
    title = text.need("the title").strip()
    scale = _numbers(text, "the scale factor", (3, 1))
    cell = np.array([_numbers(text, f"lattice vector {i}", (3,)) for i in (1, 2, 3)])
    volume = abs(np.linalg.det(cell))
    if not scale.all() or volume < 1e-9 or (len(scale) == 3 and (scale < 0).any()):
        raise InputError(f"{text.path}: the cell in lines 2 to 5 has no volume")
    factor = np.full(3, (-scale[0] / volume) ** (1 / 3) if scale[0] < 0 else scale[0]) if len(scale) == 1 else scale
    cell = cell * factor
    words = _words(text.need("element symbols"))
    old = bool(words) and all(word.isdigit() for word in words)
    counts = [int(word) for word in words] if old else _counts(text, len(words))
    positions, rest = _positions(text, cell, factor, sum(counts))
    notes: list[str] = []
    if old:
        readings = _vasp_4(text, title, counts, rest, notes)
    else:
        kinds = [_element(text, word) for word in words]
        readings = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
        _compare(text, readings, rest)
    if not readings:
        raise InputError(f"{text.path}: lists no atoms")
    notes.extend(isotopes_remark(_name(text), (reading.isotope for reading in readings)))
    return Contents(cell, positions, tuple(reading.symbol for reading in readings), notes=tuple(notes))


def title_of(text: Text) -> str:
    """First line of a file."""
    return text.lines[0] if text.lines else ""


def _name(text: Lines) -> str:
    return getattr(text.path, "name", str(text.path))


def _words(line: str) -> list[str]:
    """Words of a line without its comment."""
    return line.split("!")[0].split("#")[0].split()


def _are_numbers(words: list[str]) -> bool:
    try:
        [number(word) for word in words]
    except ValueError:
        return False
    return bool(words)


def _numbers(text: Lines, what: str, lengths: tuple[int, ...]) -> Floats:
    """Numbers at the beginning of the next line, as many as the first of ``lengths`` that fits."""
    line = text.need(what)
    words = line.split()
    for length in lengths:
        if len(words) >= length and _are_numbers(words[:length]):
            return np.array([number(word) for word in words[:length]])
    raise InputError(f"{text.path}: line {text.number} is {line.strip()[:60]!r}, expected {what}")


def _counts(text: Lines, kinds: int) -> list[int]:
    line = text.need("the number of atoms of each element")
    words = _words(line)
    if len(words) != kinds or not kinds or not all(word.isdigit() for word in words):
        raise InputError(
            f"{text.path}: line {text.number} is {line.strip()[:60]!r}, expected {kinds} whole numbers, one for each "
            "element of the line before"
        )
    return [int(word) for word in words]


def _positions(text: Lines, cell: Floats, factor: Floats, count: int) -> tuple[Floats, list[list[str]]]:
    """Cartesian positions, and the words behind each of them (flags of selective dynamics dropped)."""
    mode = text.need("Direct or Cartesian")
    selective = mode.strip()[:1].lower() == "s"
    if selective:
        mode = text.need("Direct or Cartesian")
    letter = mode.strip()[:1].lower()
    if letter not in ("d", "f", "c", "k"):
        raise InputError(f"{text.path}: line {text.number} is {mode.strip()[:60]!r}, expected Direct or Cartesian")
    values, rest = [], []
    for n in range(count):
        line = text.need(f"position {n + 1} of {count}")
        words = line.split()
        if len(words) < 3 or not _are_numbers(words[:3]):
            raise InputError(
                f"{text.path}: line {text.number} is {line.strip()[:60]!r}, expected position {n + 1} of {count}"
            )
        values.append([number(word) for word in words[:3]])
        behind = words[3:]
        flags = len(behind) >= 3 and all(word.strip(".").upper() in ("T", "F", "TRUE", "FALSE") for word in behind[:3])
        rest.append(behind[3:] if selective or flags else behind)
    positions = np.array(values).reshape(-1, 3)
    return (positions * factor if letter in ("c", "k") else positions @ cell), rest


def _element(text: Lines, word: str) -> Reading:
    """Element of ``Fe_pv``, ``LI``, ``Li1``, ``O/abc``."""
    reading = of_symbol(word.rstrip("0123456789") if word[:1].isalpha() else word.split(".")[0])
    if reading is None or word[:1].isdigit():
        raise InputError(f"{text.path}: {word!r} is no element symbol; write the symbols in the line before the counts")
    return reading


def _atom_name(words: list[str]) -> Reading | None:
    """The element that stands behind a position, if one does."""
    for word in words[:2]:
        if word.startswith(("!", "#")):
            word = word[1:]
        if word and word[0].isalpha() and word[0].isupper():
            reading = of_symbol(word.rstrip("0123456789"))
            if reading is not None:
                return reading
    return None


def _compare(text: Lines, readings: list[Reading], rest: list[list[str]]) -> None:
    """Names behind positions must not contradict the symbols."""
    names = [_atom_name(words) for words in rest]
    if not names or any(name is None for name in names):
        return
    for n, (name, reading) in enumerate(zip(names, readings, strict=True)):
        if name is not None and name.symbol != reading.symbol:
            raise InputError(
                f"{text.path}: atom {n + 1} is {reading.symbol} by the line of symbols, {name.symbol} by its own line"
            )


def _vasp_4(text: Lines, title: str, counts: list[int], rest: list[list[str]], notes: list[str]) -> list[Reading]:
    """Elements of a file without symbols: behind the positions, or in the title as VASP 4 users write them."""
    names = [_atom_name(words) for words in rest]
    if names and all(name is not None for name in names):
        notes.append(f"{_name(text)}: no line of symbols (VASP 4); elements are those behind the positions")
        return [name for name in names if name is not None]
    kinds = [of_symbol(word) if word[:1].isalpha() and word[:1].isupper() else None for word in title.split()]
    if len(kinds) == len(counts) and all(kind is not None for kind in kinds):
        notes.append(f"{_name(text)}: no line of symbols (VASP 4); elements are those of the title, {title}")
        return [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count) if kind is not None]
    raise InputError(
        f"{text.path}: VASP 4 header, line 6 has counts ({' '.join(map(str, counts))}) and no element symbols; "
        "insert a line with the symbols before it"
    )
