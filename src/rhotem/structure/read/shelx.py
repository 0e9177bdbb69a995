"""SHELX .res and .ins, and AIRSS's .res in the same dialect.

G. M. Sheldrick, Acta Cryst. C 71, 3 (2015) and the manual: CELL with the wavelength first; LATT 1 to 7 (P I R F A B
C), positive with an inversion centre at the origin; SYMM without the identity; SFAC; atoms ``name sfac x y z sof U11
U22 U33 U23 U13 U12`` with 10 added to what is fixed. ``sof`` is the occupancy times the site's share of a general
position.
"""

import re
from collections.abc import Iterator

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.cell import cell_of
from rhotem.structure.read.cif.atoms import Row
from rhotem.structure.read.cif.expand import expanded, special_place
from rhotem.structure.read.cif.operations import Operations, check_cell, of_triplets, products
from rhotem.structure.read.contents import Contents, Text, number
from rhotem.structure.read.elements import isotopes_remark, of_symbol

CENTRINGS = {
    1: (), 2: ("x+1/2,y+1/2,z+1/2",), 3: ("x+2/3,y+1/3,z+1/3", "x+1/3,y+2/3,z+2/3"),
    4: ("x,y+1/2,z+1/2", "x+1/2,y,z+1/2", "x+1/2,y+1/2,z"), 5: ("x,y+1/2,z+1/2",), 6: ("x+1/2,y,z+1/2",),
    7: ("x+1/2,y+1/2,z",),
}  # fmt: skip
_ATOM = re.compile(r"[A-Za-z][A-Za-z0-9'*_]{0,9}\s+\d+\s+[-+.\d]")
#: Instructions that look like atoms.
_WORDS = (
    "ZERR", "UNIT", "SIZE", "DISP", "PLAN", "PART", "AFIX", "CGLS", "SPEC", "RESI", "OMIT", "MOLE",
    "NEUT", "MOVE", "TWIN", "FRAG", "SHEL", "GRID", "BLOC", "BIND", "FMAP", "LIST", "MERG", "CONN",
    "SWAT", "STIR", "LAUE", "MPLA", "BUMP", "DAMP", "TWST", "ACTA", "BOND", "HFIX", "WGHT", "ISOR",
    "SIMU",
)  # fmt: skip


def is_shelx(head: str) -> bool:
    """Whether a text has a cell with a wavelength and scattering factors."""
    return bool(re.search(r"(?mi)^CELL(\s+\S+){7}\s*$", head) and re.search(r"(?mi)^SFAC\s", head))


def read_shelx(text: Text) -> Contents:
    """Structure of a .res or .ins file.

    Raises
    ------
    InputError
        Instructions that are incomplete, atoms of no element, a cell without the symmetry listed.
    """
    name = text.path.name
    cell, lattice, triplets = np.zeros((3, 3)), 1, ["x,y,z"]
    kinds: list[str] = []
    rows: list[Row] = []
    free, kelvin = [1.0], None
    for words in _instructions(text):
        key = words[0].upper()[:4]
        try:
            if key == "END" or key == "HKLF":
                break
            if key == "CELL":
                cell = cell_of([number(word) for word in words[2:8]], name)
            elif key == "LATT":
                lattice = int(words[1])
            elif key == "SYMM":
                triplets.append("".join(words[1:]))
            elif key == "SFAC":
                named = [word for word in words[1:] if word[:1].isalpha()]
                kinds += named[:1] if len(named) < len(words) - 1 else named
            elif key == "TEMP":
                kelvin = 273.15 + number(words[1])
            elif key == "FVAR":
                free += [number(word) for word in words[1:]]
            elif key not in _WORDS and _ATOM.match(" ".join(words)) and len(words) >= 5:
                rows.append(_row(text, words, kinds, free))
        except (ValueError, IndexError):
            raise text.fail(f"the instruction {key} with its numbers, or an atom") from None
    if not rows:
        raise InputError(f"{text.path}: lists no atoms")
    if not cell.any():
        raise InputError(f"{text.path}: has no cell (CELL)")
    group = _group(text, triplets, lattice)
    check_cell(group, cell, name)
    for row in rows:
        share = row.occupancy * len(special_place(row, group, cell)[1])
        row.occupancy = 1.0 if abs(share - 1) < 0.01 else share
    whole = all(row.occupancy == 1.0 for row in rows)
    contents = expanded(rows, group, cell, name, not whole)
    said = isotopes_remark(name, (row.isotope for row in rows))
    return Contents(
        cell, contents.positions, contents.symbols, contents.occupancies, contents.labels, contents.displacements,
        kelvin, notes=(*said, *contents.notes),
    )  # fmt: skip


def _instructions(text: Text) -> Iterator[list[str]]:
    """Instructions as words; ``=`` at the end continues a line, ``!`` begins a comment."""
    joined = ""
    for line in text:
        bare = line.split("!")[0].rstrip()
        if bare.upper().startswith(("TITL", "REM")):
            continue
        if bare.endswith("="):
            joined += bare[:-1] + " "
            continue
        words = (joined + bare).split()
        joined = ""
        if words:
            yield words


def _row(text: Text, words: list[str], kinds: list[str], free: list[float]) -> Row:
    values = [_fixed(number(word), free) for word in words[2:]]
    reading = of_symbol(kinds[int(words[1]) - 1])
    if reading is None:
        raise InputError(f"{text.path}: atom {words[0]}: {kinds[int(words[1]) - 1]!r} of SFAC is no element")
    place = np.array(values[:3])
    row = Row(words[0], reading.symbol, reading.isotope, place, np.full(3, 1e-4))
    row.occupancy = values[3] if len(values) > 3 else 1.0
    if len(values) >= 10:
        u11, u22, u33, u23, u13, u12 = values[4:10]
        row.tensor = np.array([[u11, u12, u13], [u12, u22, u23], [u13, u23, u33]])
    elif len(values) >= 5 and values[4] > 0:
        row.isotropic = values[4]
    return row


def _fixed(value: float, free: list[float]) -> float:
    """What a number means: 10 + p is fixed at p, 10 m + p is p times free variable m, −(10 m + p) is p (fv − 1)."""
    m = int((abs(value) + 5) // 10)
    if m == 0:
        return value
    p = abs(value) - 10 * m
    if m == 1:
        return p if value > 0 else -p
    return p * free[m] if value > 0 else p * (1.0 - free[m])


def _group(text: Text, triplets: list[str], lattice: int) -> Operations:
    try:
        group = of_triplets(triplets, "LATT and SYMM")
        if lattice > 0:
            group = products(group, of_triplets(["x,y,z", "-x,-y,-z"], ""))
        group = products(group, of_triplets(["x,y,z", *CENTRINGS[abs(lattice)]], ""))
    except (ValueError, KeyError) as error:
        raise InputError(f"{text.path}: its symmetry cannot be read (LATT {lattice}; {error})") from None
    return Operations(group.rotations, group.translations, group.reversal, "LATT and SYMM", True)
