"""GROMACS .gro: the last frame.

manual.gromacs.org, "gro": title, number of atoms, per atom columns of residue (10), name (5), number (5), x y z in nm;
the box: three lengths, and six more numbers where it is triclinic.
"""

import re

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Contents, Text, number
from rhotem.structure.read.elements import of_label, of_symbol

NM = 10.0


def read_gro(text: Text) -> Contents:
    """Structure of a .gro file: its atoms have names, not elements.

    Raises
    ------
    InputError
        Names that begin with no element, rows that are none.
    """
    frames = 0
    while text.more and (frames == 0 or text.peek().strip()):
        frames += 1
        text.need("a title")
        count = text.ints("the number of atoms", 1)[0]
        rows = [text.need(f"atom {n + 1} of {count}") for n in range(count)]
        box = text.need("the box").split()
    symbols, positions = [], []
    remarks: dict[str, None] = {}
    for n, row in enumerate(rows):
        residue, name = re.sub(r"\d", "", row[5:10]).strip(), row[10:15].strip()
        # an ion is called as its residue: LI, NA, CL, CA
        reading = of_symbol(name) if name.upper() == residue.upper() and of_symbol(name) else of_label(name)
        words = re.findall(r"[-+]?\d+\.\d+", row[20:])
        if reading is None or len(words) < 3:
            raise InputError(f"{text.path}: atom {n + 1} ({row.strip()[:50]!r}) has no element or no coordinates")
        symbols.append(reading.symbol)
        positions.append([number(word) for word in words[:3]])
        if reading.note:
            remarks[f"{text.path.name}: {reading.note}"] = None
    if not symbols:
        raise InputError(f"{text.path}: lists no atoms")
    notes = [f"{text.path.name}: the last of {frames} frames is read"] if frames > 1 else []
    return Contents(_box(text, box), NM * np.array(positions), tuple(symbols), notes=(*notes, *remarks))


def _box(text: Text, words: list[str]) -> np.ndarray:
    """v1x v2y v3z v1y v1z v2x v2z v3x v3y."""
    try:
        values = [number(word) for word in words]
    except ValueError:
        values = []
    if len(values) not in (3, 9):
        raise text.fail("the box, three or nine numbers")
    xx, yy, zz, xy, xz, yx, yz, zx, zy = values + [0.0] * (9 - len(values))
    return NM * np.array([[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]])
