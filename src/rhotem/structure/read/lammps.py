"""LAMMPS data files and text dumps: read where the file names the elements.

docs.lammps.org, "read_data" and "dump". LAMMPS knows types, not elements; data files name them as comments behind the
masses, by type labels, or by the masses themselves; dumps by a column ``element``.
"""

import re

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Contents, Floats, Text, number
from rhotem.structure.read.elements import of_symbol

#: Columns before x in each atom style: the one of the type, and their number.
STYLES = {"atomic": (1, 2), "charge": (1, 3), "molecular": (2, 3), "bond": (2, 3), "angle": (2, 3), "full": (2, 4)}
#: A mass names an element if it is within this part of one.
MASS = 0.004
_SECTIONS = re.compile(r"[A-Z][A-Za-z]+( [A-Z]?[A-Za-z]+)*\s*(#.*)?$")
_SCALED, _PLAIN = ("xs", "xsu"), ("x", "xu")


def is_data(head: str) -> bool:
    """Whether a text is a LAMMPS data file."""
    return bool(re.search(r"(?m)^\s*\d+\s+atoms\s*(#.*)?$", head) and re.search(r"xlo\s+xhi|avec", head))


def is_dump(head: str) -> bool:
    """Whether a text is a LAMMPS text dump."""
    return head.lstrip().startswith("ITEM:")


def read_data(text: Text) -> Contents:
    """Structure of a data file.

    Raises
    ------
    InputError
        Types without elements, an atom style that is not stated and cannot be told, rows that are none.
    """
    header, sections = _sections(text)
    count = _count(text, header, "atoms")
    cell, origin = _data_box(text, header)
    style, rows = next(
        ((key[6:].strip(" #"), rows) for key, rows in sections.items() if key.startswith("Atoms")), ("", [])
    )
    if len(rows) != count:
        raise InputError(f"{text.path}: {len(rows)} atoms in its table, the head says {count}; truncated or damaged")
    at_type, at_x = _style(text, style.split()[0] if style else "", rows)
    notes: list[str] = []
    elements = _elements(text, sections, notes)
    symbols, positions = [], []
    for line, words in rows:
        kind = words[at_type]
        if kind not in elements:
            raise InputError(
                f"{text.path}: atom type {kind} has no element; name it behind its mass (1 6.94 # Li) or by type labels"
            )
        symbols.append(elements[kind])
        try:
            positions.append([number(word) for word in words[at_x : at_x + 3]])
        except ValueError:
            raise InputError(f"{text.path}: line {line} is {' '.join(words)[:60]!r}, expected an atom") from None
    return Contents(cell, np.array(positions).reshape(-1, 3) - origin, tuple(symbols), notes=tuple(notes))


def read_dump(text: Text) -> Contents:
    """Structure of the last frame of a dump.

    Raises
    ------
    InputError
        No column ``element``; no coordinates; a box that is none.
    """
    frames = [n for n, line in enumerate(text.lines) if line.strip() == "ITEM: TIMESTEP"]
    if not frames:
        raise InputError(f"{text.path}: it has no frame (ITEM: TIMESTEP)")
    text.number = frames[-1]
    count, cell, origin = -1, np.zeros((3, 3)), np.zeros(3)
    for line in text:
        words = line.split()
        if line.startswith("ITEM: NUMBER OF ATOMS"):
            count = text.ints("the number of atoms", 1)[0]
        elif line.startswith("ITEM: BOX BOUNDS"):
            cell, origin = dump_box(text, words[3:])
        elif line.startswith("ITEM: ATOMS"):
            notes = (f"{text.path.name}: the last of {len(frames)} frames is read",) if len(frames) > 1 else ()
            return _dump_atoms(text, words[2:], count, (cell, origin), notes)
    raise InputError(f"{text.path}: its last frame has no atoms; the file is truncated")


def _dump_atoms(
    text: Text, columns: list[str], count: int, box: tuple[Floats, Floats], notes: tuple[str, ...]
) -> Contents:
    cell, origin = box
    if "element" not in columns:
        kinds = sorted(
            {line.split()[columns.index("type")] for line in text.lines[text.number :][:count] if "type" in columns}
        )
        listed = f"types {', '.join(kinds)} have" if kinds else "its atoms have"
        raise InputError(
            f"{text.path}: {listed} no element names; write them with dump_modify element, or convert the file"
        )
    x = next((name for name in (*_PLAIN, *_SCALED) if name in columns), "")
    if not x or any(name not in columns for name in (x.replace("x", "y", 1), x.replace("x", "z", 1))):
        raise InputError(f"{text.path}: its atoms have no columns x y z (or xs ys zs)")
    places = [columns.index(x.replace("x", axis, 1)) for axis in "xyz"]
    named = columns.index("element")
    rows, symbols, order = [], [], []
    for n in range(count):
        words = text.need(f"atom {n + 1} of {count}").split()
        reading = of_symbol(words[named]) if len(words) == len(columns) else None
        try:
            if reading is None:
                raise ValueError
            rows.append([number(words[place]) for place in places])
            order.append(int(words[columns.index("id")]) if "id" in columns else n)
        except ValueError:
            raise text.fail(f"an atom with {len(columns)} columns and an element") from None
        symbols.append(reading.symbol)
    table = np.array(rows).reshape(-1, 3)
    positions = table @ cell if x in _SCALED else table - origin
    sort = np.argsort(order, kind="stable")
    return Contents(cell, positions[sort], tuple(symbols[n] for n in sort), notes=notes)


def dump_box(text: Text, words: list[str]) -> tuple[Floats, Floats]:
    """Cell of a dump's frame and its corner in Å; ``words``: behind ITEM: BOX BOUNDS."""
    if words[:1] == ["abc"]:
        rows = np.array([text.floats("a vector of the box and its origin", 4) for _ in range(3)])
        return rows[:, :3], rows[:, 3]
    tilted = words[:3] == ["xy", "xz", "yz"]
    rows = np.array([text.floats("the bounds of the box", 3 if tilted else 2) for _ in range(3)])
    xy, xz, yz = rows[:, 2] if tilted else (0.0, 0.0, 0.0)
    low, high = rows[:, 0].copy(), rows[:, 1].copy()
    low[0] -= min(0.0, xy, xz, xy + xz)  # a dump states the box around the tilted cell
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    lx, ly, lz = high - low
    return np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]]), low


def _sections(text: Text) -> tuple[list[str], dict[str, list[tuple[int, list[str]]]]]:
    """Lines of the head, and rows of each section with their line numbers."""
    header: list[str] = []
    sections: dict[str, list[tuple[int, list[str]]]] = {}
    text.need("a title")
    current: list[tuple[int, list[str]]] | None = None
    masses = False
    for line in text:
        bare = line.split("#")[0].split()
        if not bare:
            continue
        if _SECTIONS.match(line.strip()) and not line.strip()[0].isdigit():
            current = sections.setdefault(line.strip(), [])
            masses = line.strip().startswith("Masses")
        elif current is None:
            header.append(line.split("#")[0].strip())
        else:
            comment = line.partition("#")[2].split()
            current.append((text.number, [*bare, *(["#", *comment[:1]] if masses and comment else [])]))
    return header, sections


def _count(text: Text, header: list[str], what: str) -> int:
    for line in header:
        if re.fullmatch(rf"\d+\s+{what}", line):
            return int(line.split()[0])
    raise InputError(f"{text.path}: its head does not say how many {what} there are")


def _data_box(text: Text, header: list[str]) -> tuple[Floats, Floats]:
    low, high, tilt, rows = np.zeros(3), np.zeros(3), np.zeros(3), {}
    for line in header:
        words = line.split()
        for n, axis in enumerate("xyz"):
            if words[2:] == [f"{axis}lo", f"{axis}hi"]:
                low[n], high[n] = number(words[0]), number(words[1])
        if words[3:] == ["xy", "xz", "yz"]:
            tilt = np.array([number(word) for word in words[:3]])
        if words[3:] in (["avec"], ["bvec"], ["cvec"], ["abc", "origin"]):
            rows[words[3]] = np.array([number(word) for word in words[:3]])
    if "avec" in rows:
        return np.array([rows["avec"], rows["bvec"], rows["cvec"]]), rows.get("abc", np.zeros(3))
    lx, ly, lz = high - low
    if min(lx, ly, lz) <= 0:
        raise InputError(f"{text.path}: its head has no box (xlo xhi, ylo yhi, zlo zhi)")
    xy, xz, yz = tilt
    return np.array([[lx, 0, 0], [xy, ly, 0], [xz, yz, lz]]), low


def _style(text: Text, style: str, rows: list[tuple[int, list[str]]]) -> tuple[int, int]:
    if style in STYLES:
        return STYLES[style]
    if style:
        raise InputError(f"{text.path}: atom style {style} is not read; expected one of {', '.join(STYLES)}")
    widths = {len(words) for _, words in rows}
    if widths <= {5, 8} and len(widths) == 1:
        return STYLES["atomic"]
    if widths <= {7, 10} and len(widths) == 1:
        return STYLES["full"]
    raise InputError(f"{text.path}: its atom style is not stated; write it behind the section's name, 'Atoms # charge'")


def _elements(text: Text, sections: dict[str, list[tuple[int, list[str]]]], notes: list[str]) -> dict[str, str]:
    """Element of every type (number or label)."""
    found: dict[str, str] = {}
    for _, words in next((rows for key, rows in sections.items() if key.startswith("Atom Type Labels")), []):
        reading = of_symbol(words[1]) if len(words) > 1 else None
        if reading is not None:
            found[words[0]] = found[words[1]] = reading.symbol
    by_mass: list[str] = []
    for _, words in next((rows for key, rows in sections.items() if key.startswith("Masses")), []):
        if words[0] in found:
            continue
        reading = of_symbol(words[3]) if len(words) > 3 else of_symbol(words[0]) if words[0][:1].isalpha() else None
        if reading is not None:
            found[words[0]] = reading.symbol
            continue
        symbol = _by_mass(words[1]) if len(words) > 1 else ""
        if symbol:
            found[words[0]] = symbol
            by_mass.append(f"{words[0]} {symbol}")
    if by_mass:
        notes.append(f"{text.path.name}: elements of types by their masses: {', '.join(by_mass)}")
    return found


def _by_mass(word: str) -> str:
    """The element of a mass in u; nothing for masses of models (1, 2, ...)."""
    from ase.data import atomic_masses, chemical_symbols

    mass = number(word)
    if mass in (1.0, 2.0, 3.0, 4.0, 10.0, 100.0):
        return ""
    off = np.abs(atomic_masses[1:97] / mass - 1)
    z = int(np.argmin(off)) + 1
    return chemical_symbols[z] if off[z - 1] < MASS else ""
