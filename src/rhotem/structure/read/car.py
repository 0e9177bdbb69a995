"""Materials Studio's .xsd, by ASE, and its and DMol's .car (BIOSYM archive): P 1 only.

The line ``PBC a b c α β γ (group)`` says the cell; atoms are Cartesian in Å, a along x and b in the plane of x and y.
"""

import re

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.cell import cell_of
from rhotem.structure.read.contents import Contents, Text, number
from rhotem.structure.read.elements import of_symbol
from rhotem.structure.read.objects import read_with_ase


def is_car(head: str) -> bool:
    """Whether a text is a BIOSYM archive."""
    return head.lstrip().startswith("!BIOSYM archive")


def read_car(text: Text) -> Contents:
    """Structure of a .car file, its last frame.

    Raises
    ------
    InputError
        A space group that is not P 1 (the file lists one atom of each kind then), rows that are none.
    """
    cell = np.zeros((3, 3))
    symbols: list[str] = []
    positions: list[list[float]] = []
    for line in text:
        words = line.split()
        if line.startswith("PBC ") and len(words) >= 7:
            group = re.search(r"\(([^)]*)\)", line)
            _refuse_group(text, group[1] if group is not None else "")
            cell = cell_of(_numbers(text, words[1:7]), text.path.name)
            symbols, positions = [], []
        elif len(words) >= 8 and re.fullmatch(r"[-+]?\d*\.\d+", words[1]):
            reading = of_symbol(words[7]) or of_symbol(re.sub(r"\d.*$", "", words[0]))
            if reading is None:
                raise InputError(f"{text.path}: atom {len(symbols) + 1} ({words[0]}) has no element")
            symbols.append(reading.symbol)
            positions.append(_numbers(text, words[1:4]))
    if not symbols:
        raise InputError(f"{text.path}: lists no atoms")
    return Contents(cell, np.array(positions), tuple(symbols))


def _numbers(text: Text, words: list[str]) -> list[float]:
    try:
        return [number(word) for word in words]
    except ValueError:
        raise text.fail("numbers of the cell or of an atom") from None


def read_xsd(text: Text) -> Contents:
    """Structure of a .xsd file.

    Raises
    ------
    InputError
        A space group that is not P 1: ASE reads the asymmetric unit only.
    """
    for group in re.findall(r'GroupName="([^"]*)"', text.all):
        _refuse_group(text, group)
    return read_with_ase(text, "xsd")


def _refuse_group(text: Text, group: str) -> None:
    if group.replace(" ", "").upper() not in ("", "P1", "GROUPNAME"):  # ASE writes the last one
        raise InputError(f"{text.path}: space group {group}, and only its asymmetric unit is read; write it in P 1")
