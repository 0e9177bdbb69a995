"""E. J. Kirkland's .xyz of TEMSIM and computem, which Prismatic reads, too.

A comment, the cell ``ax by cz`` in Å, rows ``Z x y z occupancy wobble`` and a closing −1. ``wobble`` is the rms
displacement √⟨u²⟩ along one axis in Å, as Prismatic documents it.
"""

import re

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Contents, Text, number
from rhotem.structure.read.elements import of_symbol

_ROW = re.compile(r"\s*(\d{1,3}|[A-Z][a-z]?)(\s+[-+.\deE]+){3,5}\s*$")


def is_temsim(head: str) -> bool:
    """Whether a text is this format: three lengths alone in line 2, then rows that begin with a number or symbol."""
    lines = head.splitlines()
    if len(lines) < 3 or len(lines[1].split()) != 3 or not _ROW.match(lines[2]):
        return False
    try:
        lengths = [number(word) for word in lines[1].split()]
    except ValueError:
        return False
    closed = any(line.strip() == "-1" for line in lines[2:])
    counted = lines[0].strip().isdigit() and len(" ".join(lines[2:]).split()) % max(1, int(lines[0])) == 0
    return min(lengths) > 0 and (closed or not counted)


def read_temsim(text: Text) -> Contents:
    """Structure of a TEMSIM file.

    Raises
    ------
    InputError
        Rows that are none; a file that ends without −1.
    """
    text.need("a comment")
    cell = np.diag(text.floats("the cell, three lengths in Å", 3))
    symbols, rows = [], []
    while True:
        line = text.need("an atom, or -1 at the end")
        if line.strip() == "-1":
            break
        if not line.strip():
            continue
        words = line.split()
        reading = of_symbol(words[0])
        try:
            values = [number(word) for word in words[1:]]
        except ValueError:
            values = []
        if reading is None or not 3 <= len(values) <= 5:
            raise text.fail("an atom: Z x y z occupancy wobble")
        symbols.append(reading.symbol)
        rows.append([*values, *[1.0, 0.0][len(values) - 3 :]])
    if not rows:
        raise InputError(f"{text.path}: lists no atoms")
    table = np.array(rows)
    wobble = table[:, 4]
    displacements = wobble[:, None, None] ** 2 * np.eye(3) if wobble.any() else None
    return Contents(cell, table[:, :3], tuple(symbols), table[:, 3], displacements=displacements)
