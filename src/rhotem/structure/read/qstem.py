"""AtomEye and QSTEM .cfg.

QSTEM (qstem.org, "data formats") writes unnamed columns behind the position: B = 8π²⟨u²⟩ in Å², occupancy, charge.
AtomEye's extended format names them (``auxiliary[0] = occupancy``); its standard format has mass, symbol, position and
velocity in one row.
"""

import re

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Contents, Text, number
from rhotem.structure.read.elements import isotopes_remark, of_symbol

PER_U = 8 * np.pi**2
#: Unnamed columns in QSTEM's order.
QSTEM = ("debye_waller", "occupancy", "charge")
_B = ("debye_waller", "debyewaller", "dw", "b", "biso", "debye-waller")


def read_cfg(text: Text) -> Contents:
    """Structure of a .cfg file.

    Raises
    ------
    InputError
        A header that is incomplete, rows with a wrong number of values, fewer or more atoms than announced.
    """
    count, scale, entries, velocity = -1, 1.0, 0, True
    cell, turned, names = np.zeros((3, 3)), np.eye(3), {}
    symbol = ""
    symbols, rows = [], []
    for line in text:
        bare = line.split("#")[0].strip()
        if not bare:
            continue
        key, equals, value = (part.strip() for part in bare.partition("="))
        try:
            if equals:
                place = re.fullmatch(r"(H0|Transform|eta)\(\s*(\d)\s*,\s*(\d)\s*\)", key)
                if key == "Number of particles":
                    count = int(value.split()[0])
                elif key == "A":
                    scale = number(value.split()[0])
                elif key == "entry_count":
                    entries = int(value)
                elif key.startswith("auxiliary["):
                    names[int(key[10:-1])] = value.split()[0].lower()
                elif place and place[1] == "eta":
                    if number(value.split()[0]) != 0:
                        raise InputError(f"{text.path}: eta (strain) in a .cfg is not read; apply it to H0")
                elif place:
                    (cell if place[1] == "H0" else turned)[int(place[2]) - 1, int(place[3]) - 1] = number(
                        value.split()[0]
                    )
                continue
            words = bare.split()
            if bare == ".NO_VELOCITY.":
                velocity = False
            elif len(words) == 1 and words[0][0].isalpha():
                symbol = words[0]
            elif len(words) == 1:
                number(words[0])  # the mass
            elif entries:
                if len(words) != entries:
                    raise ValueError
                rows.append([number(word) for word in words])
                symbols.append(symbol)
            else:
                rows.append([number(word) for word in words[2:5]])
                symbols.append(words[1])
        except (ValueError, IndexError):
            raise text.fail(f"a row of {entries} numbers" if entries else "a line of a .cfg file") from None
    return _contents(text, count, symbols, rows, cell @ turned * scale, names, entries and 3 * (1 + velocity))


def _contents(
    text: Text,
    count: int,
    symbols: list[str],
    rows: list[list[float]],
    cell: np.ndarray,
    names: dict[int, str],
    behind: int,
) -> Contents:
    if count < 0 or len(rows) != count:
        raise InputError(
            f"{text.path}: {len(rows)} atoms, but the file says {max(count, 0)}; it is truncated or damaged"
        )
    readings = [of_symbol(symbol) for symbol in symbols]
    if None in readings:
        raise InputError(f"{text.path}: {symbols[readings.index(None)]!r} is no element symbol")
    values = np.array(rows, dtype=float).reshape(count, -1)
    extra = values[:, behind:] if behind else values[:, :0]
    columns = {
        names.get(n, "" if names else (QSTEM[n] if n < len(QSTEM) else "")): extra[:, n] for n in range(extra.shape[1])
    }
    occupancies = next((columns[key] for key in ("occupancy", "occupancies", "occ") if key in columns), None)
    b = next((columns[key] for key in _B if key in columns), None)
    displacements = None
    if b is not None and b.any():
        displacements = (b / PER_U)[:, None, None] * np.eye(3)
    notes = list(isotopes_remark(text.path.name, (r.isotope for r in readings if r is not None)))
    return Contents(
        cell,
        values[:, :3] @ cell,
        tuple(reading.symbol for reading in readings if reading is not None),
        occupancies,
        displacements=displacements,
        notes=tuple(notes),
    )
