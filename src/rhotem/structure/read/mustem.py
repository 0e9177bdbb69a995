"""muSTEM's .xtl.

L. J. Allen, A. J. D'Alfonso, S. D. Findlay, Ultramicroscopy 151, 11 (2015), manual: a title, the cell, the beam energy
in keV, the number of kinds of atoms; per kind its name, a line ``number Z occupancy ⟨u²⟩ (Å²)``, fractional positions.
"""

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.cell import cell_of
from rhotem.structure.read.contents import Contents, Text, number
from rhotem.structure.read.elements import of_symbol


def is_xtl(head: str) -> bool:
    """Whether a text is this format and not another one with the same ending (CELL, ATOMS keywords)."""
    lines = head.splitlines()
    if len(lines) < 6:
        return False
    try:
        lengths = [number(word) for word in lines[1].split()[:3]]
        return len(lengths) == 3 and number(lines[2].split()[0]) > 0 and lines[3].split()[0].isdigit()
    except (ValueError, IndexError):
        return False


def read_xtl(text: Text) -> Contents:
    """Structure of a muSTEM file.

    Raises
    ------
    InputError
        A cell without right angles, rows that are none.
    """
    text.need("a title")
    words = text.need("the cell: a b c in Å").split()
    try:
        parameters = [number(word) for word in words[:6]]
    except ValueError:
        parameters = [number(word) for word in words[:3]]
    parameters += [90.0] * (6 - len(parameters)) if len(parameters) in (3, 6) else []
    if len(parameters) != 6 or min(parameters[:3]) <= 0:
        raise text.fail("a cell: a b c in Å, α β γ in degrees")
    cell = cell_of(parameters, text.path.name)
    text.floats("the beam energy in keV", 1)
    kinds = text.ints("the number of kinds of atoms", 1)[0]
    places, symbols, shares, u2 = [], [], [], []
    for _ in range(kinds):
        text.need("the name of a kind of atoms")
        count, z, occupancy, displacement = text.floats("number, Z, occupancy and ⟨u²⟩ of a kind of atoms", 4)
        reading = of_symbol(str(int(z))) if z == int(z) else None
        if reading is None or count != int(count) or count < 0:
            raise text.fail("number, Z, occupancy and ⟨u²⟩ of a kind of atoms")
        places += [text.floats(f"a position of {reading.symbol}", 3) for _ in range(int(count))]
        symbols += [reading.symbol] * int(count)
        shares += [occupancy] * int(count)
        u2 += [displacement] * int(count)
    if not places:
        raise InputError(f"{text.path}: lists no atoms")
    tensors = np.array(u2)[:, None, None] * np.eye(3)
    return Contents(
        cell,
        np.array(places) @ cell,
        tuple(symbols),
        np.array(shares),
        displacements=tensors if tensors.any() else None,
    )
