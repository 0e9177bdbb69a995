"""CASTEP's .cell: lattice and positions of all atoms of the cell.

castep.org, "Cell input": blocks LATTICE_CART or LATTICE_ABC, POSITIONS_FRAC or POSITIONS_ABS, a unit in the first line
(Å without one); species as symbols, ``Fe:label`` or Z; behind it ``MIXTURE:( site share )`` and ``SPIN= s``.
"""

import re

import numpy as np

from rhotem.core import InputError
from rhotem.core.units import BOHR
from rhotem.structure.read.cell import cell_of
from rhotem.structure.read.contents import Contents, Floats, Text, number
from rhotem.structure.read.elements import Reading, isotopes_remark, of_symbol

UNITS = {"ang": 1.0, "bohr": BOHR, "a0": BOHR, "nm": 10.0, "pm": 0.01, "cm": 1e8, "m": 1e10}
Rows = list[tuple[int, str]]


def is_castep(head: str) -> bool:
    """Whether a text has a block of positions of CASTEP."""
    return bool(re.search(r"(?mi)^\s*%block\s+positions_(frac|abs)", head))


def read_castep(text: Text) -> Contents:
    """Structure of a .cell file.

    Raises
    ------
    InputError
        Blocks that are missing or do not end, species that are no elements, rows that are none.
    """
    blocks = _blocks(text)
    cell = _cell(text, blocks)
    name = next((key for key in ("positions_frac", "positions_abs") if key in blocks), "")
    rows, unit = _unit(blocks[name])
    readings: list[Reading] = []
    places, shares, moments = [], [], []
    for line, row in rows:
        words = row.replace(",", " ").split()
        reading = of_symbol(words[0].split(":")[0])
        try:
            place = [number(word) for word in words[1:4]]
        except ValueError:
            place = []
        if reading is None or len(place) < 3:
            raise InputError(f"{text.path}: line {line} is {row[:60]!r}, expected an atom: species and three numbers")
        readings.append(reading)
        places.append(place)
        mixed = re.search(r"(?i)MIXTURE\s*[:=]\s*\(\s*\d+\s+([\d.]+)\s*\)", row)
        shares.append(1.0 if mixed is None else float(mixed[1]))
        spin = re.search(r"(?i)SPIN\s*=\s*([-+]?\d*\.?\d+)(?!\s+[-+\d])", row)
        moments.append(0.0 if spin is None else float(spin[1]))
    if not places:
        raise InputError(f"{text.path}: lists no atoms")
    positions = np.array(places) @ cell if name == "positions_frac" else np.array(places) * unit
    return Contents(
        cell,
        positions,
        tuple(reading.symbol for reading in readings),
        np.array(shares) if min(shares) < 1.0 else None,
        moments=np.array(moments),
        notes=isotopes_remark(text.path.name, (reading.isotope for reading in readings)),
    )


def _blocks(text: Text) -> dict[str, Rows]:
    """Lines of every block with their numbers, comments dropped."""
    blocks: dict[str, Rows] = {}
    current = ""
    for line in text:
        bare = re.split(r"[!#;]|\bCOMMENT\b", line)[0].strip()
        head = re.match(r"(?i)%(end)?block\s+(\w+)", bare)
        if head is not None:
            current = "" if head[1] else head[2].lower()
            blocks.setdefault(current, [])
        elif bare and current:
            blocks[current].append((text.number, bare))
    if current:
        raise InputError(f"{text.path}: the block {current.upper()} does not end; the file is truncated")
    return blocks


def _unit(rows: Rows) -> tuple[Rows, float]:
    if rows and rows[0][1].lower() in UNITS:
        return rows[1:], UNITS[rows[0][1].lower()]
    return rows, 1.0


def _cell(text: Text, blocks: dict[str, Rows]) -> Floats:
    name = next((key for key in ("lattice_cart", "lattice_abc") if key in blocks), "")
    if not name:
        raise InputError(f"{text.path}: has no cell (LATTICE_CART or LATTICE_ABC)")
    rows, unit = _unit(blocks[name])
    try:
        values = np.array([[number(word) for word in row.replace(",", " ").split()[:3]] for _, row in rows])
    except ValueError:
        values = np.zeros(0)
    if values.shape != ((3, 3) if name == "lattice_cart" else (2, 3)):
        raise InputError(f"{text.path}: its block {name.upper()} holds no cell")
    if name == "lattice_cart":
        return values * unit
    return cell_of([*(values[0] * unit), *values[1]], text.path.name)
