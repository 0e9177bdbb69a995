"""Dr. Probe's supercell files (.cel).

J. Barthel, "CEL file format" (er-c.org/barthel/drprobe): a comment; ``0 a b c α β γ`` in nm and degrees; per atom
symbol, fractional x y z, occupancy, B = 8π²⟨u²⟩ in nm², three unused numbers; ``*`` at the end.
"""

import re

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.cell import cell_of
from rhotem.structure.read.contents import Contents, Text, number
from rhotem.structure.read.elements import of_symbol

NM = 10.0


def is_cel(head: str) -> bool:
    """Whether a text is this format: a second line of 0 (or nothing), three lengths, three angles."""
    lines = head.splitlines()
    if len(lines) < 3:
        return False
    words = lines[1].split()
    try:
        values = [number(word) for word in words]
    except ValueError:
        return False
    return len(values) == 7 and values[0] == 0 and all(0 < angle < 180 for angle in values[4:])


def read_cel(text: Text) -> Contents:
    """Structure of a .cel file.

    Raises
    ------
    InputError
        Rows that are none, a cell that is none.
    """
    text.need("a comment")
    numbers = text.floats("0 and the cell: a b c in nm, α β γ in degrees", 7)
    if min(numbers[1:4]) <= 0:
        raise text.fail("a cell with three lengths in nm")
    cell = cell_of([*(NM * x for x in numbers[1:4]), *numbers[4:]], text.path.name)
    symbols, rows = [], []
    for line in text:
        if line.strip().startswith("*"):
            break
        words = line.split()
        if not words:
            continue
        reading = of_symbol(words[0]) or of_symbol(re.sub(r"\d.*$", "", words[0]))
        try:
            values = [number(word) for word in words[1:6]]
        except ValueError:
            values = []
        if reading is None or len(values) < 5:
            raise text.fail("an atom: symbol, x y z, occupancy, B in nm²")
        symbols.append(reading.symbol)
        rows.append(values)
    if not rows:
        raise InputError(f"{text.path}: lists no atoms")
    table = np.array(rows)
    u2 = table[:, 4] * NM**2 / (8 * np.pi**2)
    displacements = u2[:, None, None] * np.eye(3) if u2.any() else None
    return Contents(cell, table[:, :3] @ cell, tuple(symbols), table[:, 3], displacements=displacements)
