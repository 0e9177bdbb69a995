"""XCrySDen's .xsf: crystals, slabs, polymers and molecules, with or without a grid behind them.

www.xcrysden.org/doc/XSF.html: lengths in Å; of animations the last step.
"""

import re

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Contents, Text, number
from rhotem.structure.read.elements import of_symbol

PERIODS = {"CRYSTAL": 3, "SLAB": 2, "POLYMER": 1, "MOLECULE": 0}


def is_xsf(head: str) -> bool:
    """Whether a text has one of the keywords that begin a structure alone in a line."""
    words = {line.split()[0].upper() for line in head.splitlines() if line.split() and len(line.split()) <= 2}
    atoms = re.search(r"(?mi)^\s*ATOMS(\s+\d+)?\s*\n\s*(\d+|[A-Z][a-z]?)(\s+[-+.\deE]+){3}", head)
    return bool(words & {"PRIMVEC", "PRIMCOORD", "CONVVEC"} or atoms) and "data_" not in head[:20]


def read_xsf(text: Text) -> Contents:
    """Structure of an .xsf file.

    Raises
    ------
    InputError
        No atoms, a crystal without PRIMVEC, rows that are none.
    """
    periods, cell = None, np.zeros((3, 3))
    symbols: list[str] = []
    positions: list[list[float]] = []
    steps = 0
    for line in text:
        words = line.split("#")[0].split()
        word = words[0].upper() if words else ""
        if word in PERIODS:
            periods = PERIODS[word]
        elif word == "PRIMVEC":
            cell = np.array([text.floats(f"lattice vector {i}", 3) for i in (1, 2, 3)])
        elif word == "PRIMCOORD":
            steps += 1
            count = text.ints("the number of atoms", 1)[0]
            symbols, positions = [], []
            for _ in range(count):
                _atom(text, text.need("an atom"), symbols, positions)
        elif word == "ATOMS":
            steps += 1
            periods, symbols, positions = 0 if periods is None else periods, [], []
            while text.more and len(text.peek().split()) >= 4:
                _atom(text, text.need("an atom"), symbols, positions)
        elif word.startswith(("BEGIN_BLOCK", "BEGIN_INFO")):
            break
        elif word == "CONVCOORD" and not positions:
            raise InputError(f"{text.path}: it lists the atoms of the conventional cell (CONVCOORD); write PRIMCOORD")
    if not positions:
        raise InputError(f"{text.path}: it lists no atoms (PRIMCOORD or ATOMS)")
    if periods is None:
        periods = 3
    if periods and not cell.any():
        raise InputError(f"{text.path}: a crystal without PRIMVEC")
    cell = cell.copy()
    cell[periods:] = 0.0
    notes = (f"{text.path.name}: the last of {steps} steps is read",) if steps > 1 else ()
    return Contents(cell, np.array(positions), tuple(symbols), notes=notes)


def _atom(text: Text, line: str, symbols: list[str], positions: list[list[float]]) -> None:
    words = line.split()
    reading = of_symbol(words[0]) if words else None
    try:
        if reading is None:
            raise ValueError
        positions.append([number(word) for word in words[1:4]])
        if len(positions[-1]) < 3:
            raise ValueError
    except ValueError:
        raise text.fail("an atom: element x y z") from None
    symbols.append(reading.symbol)
