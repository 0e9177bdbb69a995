"""Rows of a CIF's atom table: element, place, occupancy and displacement of each."""

import re
from dataclasses import dataclass, field

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read import elements
from rhotem.structure.read.cif.document import Block, value_of
from rhotem.structure.read.contents import Floats

EMPTY = ("?", ".", "")
AXES = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
#: Largest rounding of a coordinate that counts: 0.33 for 1/3.
COARSEST = 0.01
#: Displacement tensors as tags call them, and in words.
NAMES = {"beta": "β_ij", "b": "B_ij", "u": "U_ij"}
PAIRS = ((0, 0, "11"), (1, 1, "22"), (2, 2, "33"), (0, 1, "12"), (0, 2, "13"), (1, 2, "23"))


@dataclass(eq=False)
class Row:
    """A row of the atom table; a mixture written in one row becomes several.

    Parameters
    ----------
    label, symbol, isotope : str
        ``isotope`` is D or T where the file says so.
    place : (3,) array
        Fractional.
    rounding : (3,) array
        Largest error that the digits written leave in each coordinate.
    occupancy : float
    multiplicity : int
        Of the site in the cell, 0 where not stated.
    tensor : (3, 3) array or None
        U_ij in the basis a*·a, b*·b, c*·c (dimension Å²) or None.
    isotropic : float
        U_iso in Å², NaN where not stated.
    moment : (3,) array or None
        Along the cell's axes, in Bohr magnetons.
    index : int
        Row of the table, from 0: labels may come twice.
    """

    label: str
    symbol: str
    isotope: str
    place: Floats
    rounding: Floats
    occupancy: float = 1.0
    multiplicity: int = 0
    tensor: Floats | None = None
    isotropic: float = float("nan")
    moment: Floats | None = None
    index: int = -1


@dataclass(eq=False)
class Table:
    """Rows of the atom table, whether it has occupancies, hydrogens it only counts, and remarks."""

    rows: list[Row] = field(default_factory=list)
    has_occupancies: bool = False
    attached_hydrogens: int = 0
    notes: list[str] = field(default_factory=list)


def read_rows(block: Block, cell: Floats, name: str) -> Table:
    """The atom table of a block; the ``cell`` (rows, Å) gives β_ij their dimension.

    Raises
    ------
    InputError
        For rows without a readable element, coordinate or occupancy; names the row.
    """
    columns = [block.column(tag) for tag in AXES]
    count = len(columns[0] or ())
    if not count or any(column is None or len(column) != count for column in columns):
        cartesian = block.column("_atom_site_cartn_x") is not None
        why = "it gives Cartesian coordinates only" if cartesian else "it has no table of atoms"
        raise InputError(f"{name}: {why}; expected _atom_site_fract_x, _y and _z")
    labels = block.column("_atom_site_label") or block.column("_atom_site_type_symbol") or [""] * count
    types = block.column("_atom_site_type_symbol") or ["?"] * count
    shares = block.column("_atom_site_occupancy", "_atom_site_occupance")
    table = Table(has_occupancies=shares is not None)
    known = formula_elements(block)
    for n in range(count):
        label = labels[n] if labels[n] not in EMPTY else f"row {n + 1}"
        words = [column[n] for column in columns if column is not None]
        if label == f"row {n + 1}" and types[n] in EMPTY and all(word in EMPTY for word in words):
            continue  # a row of nothing
        kinds = _kinds(label, types[n], known, name, table.notes)
        if _is_dummy(block, n, label, kinds, words, name, table.notes):
            continue
        occupancy = _occupancy(shares[n] if shares is not None else ".", label, name)
        if occupancy == 0:
            table.notes.append(f"{name}: {label} has occupancy 0 and is left out")
            continue
        place, rounding = _place(words, label, name)
        for kind, share in kinds:
            row = Row(label, kind.symbol, kind.isotope, place, rounding, occupancy * share, _multiplicity(block, n))
            row.index = n
            table.rows.append(row)
            table.has_occupancies |= len(kinds) > 1
        attached = _number(_cell(block, "_atom_site_attached_hydrogens", n))
        table.attached_hydrogens += int(attached) if np.isfinite(attached) else 0
    isotopes = sorted({row.isotope for row in table.rows if row.isotope})
    if isotopes:
        table.notes.append(f"{name}: {' and '.join(isotopes)} is read as H; electrons see no difference")
    _displacements(block, table, labels, cell, name)
    _moments(block, table, name)
    return table


def formula_elements(block: Block) -> dict[str, float]:
    """Atoms of each element in the stated sum formula; empty where none or none that can be read."""
    text = block.text("_chemical_formula_sum")
    amounts: dict[str, float] = {}
    bare = re.sub(r"(?<=[A-Za-z])\s*(?=\d)", "", re.sub(r"[,'()]", " ", text))
    for word in bare.split():
        pairs = re.findall(r"([A-Z][a-z]?)(\d*\.?\d*)(?:[+-]\d*|\d+[+-])?", word)
        if "".join(a + b for a, b in pairs) != word.split("+")[0].split("-")[0]:
            return {}
        for symbol, number in pairs:
            symbol = elements.ISOTOPES.get(symbol, symbol)
            if not elements.is_element(symbol) or number == ".":
                return {}
            amounts[symbol] = amounts.get(symbol, 0.0) + float(number or 1)
    return amounts


def _kinds(
    label: str, kind: str, known: dict[str, float], name: str, notes: list[str]
) -> list[tuple[elements.Reading, float]]:
    """Elements of a row with their shares; empty for a dummy atom."""
    text = kind if kind not in EMPTY else label
    shares = elements.mixture(text)
    if shares is not None:
        return [(elements.Reading(symbol), share) for symbol, share in shares.items()]
    if elements.names_several(text):
        raise InputError(
            f"{name}: {label} is a mixture ({text}) without shares; give each element its row and occupancy"
        )
    if kind not in EMPTY:
        reading = elements.of_group(kind) or elements.of_symbol(re.sub(r"(?<=[A-Za-z])val$", "", kind))
        if reading is None and kind.upper() not in elements.DUMMIES:
            reading = elements.of_label(kind, known)
    else:
        reading = elements.of_label(label, known)
    if reading is None:
        if (kind if kind not in EMPTY else label).strip("0123456789").upper() in elements.DUMMIES:
            return []
        raise InputError(f"{name}: {label} has no element ({text!r}); give _atom_site_type_symbol a chemical symbol")
    if reading.note:
        notes.append(f"{name}: {reading.note}")
    return [(reading, 1.0)]


def _is_dummy(block: Block, n: int, label: str, kinds: list, words: list[str], name: str, notes: list[str]) -> bool:
    """Whether a row is no atom to be imaged; said in a remark that names it."""
    if not kinds or _cell(block, "_atom_site_calc_flag", n) == "dum":
        notes.append(f"{name}: {label} is a dummy atom and is left out")
        return True
    if "?" in words:
        if kinds[0][0].symbol != "H":
            raise InputError(f"{name}: {label} has no coordinates; complete the row, or remove it if it is no atom")
        notes.append(f"{name}: {label} (hydrogen) has no coordinates and is left out")
        return True
    return False


def _cell(block: Block, tag: str, n: int) -> str:
    column = block.column(tag)
    return column[n] if column is not None and n < len(column) and column[n] not in EMPTY else ""


def _occupancy(text: str, label: str, name: str) -> float:
    if text in EMPTY:
        return 1.0  # the dictionary's default
    try:
        return value_of(text)
    except ValueError:
        raise InputError(f"{name}: {label} has occupancy {text!r}, expected a number from 0 to 1") from None


def _place(words: list[str], label: str, name: str) -> tuple[Floats, Floats]:
    place, rounding = np.zeros(3), np.zeros(3)
    for axis, word in enumerate(words):
        if word in (".", ""):
            continue  # the dictionary's default: 0
        try:
            place[axis] = value_of(word)
        except ValueError:
            raise InputError(
                f"{name}: {label} has coordinates {' '.join(words)}, {word!r} is no number; correct this row"
            ) from None
        rounding[axis] = _rounding(word, place[axis])
    return place, rounding


def _rounding(word: str, value: float) -> float:
    """One unit of the last digit written; nothing for fractions and multiples of 1/8 written whole."""
    digits = len(word.partition("(")[0].strip().partition(".")[2])
    if "/" in word or "e" in word.lower() or (8 * value) % 1 == 0:
        return 0.0
    return min(10.0**-digits, COARSEST) if digits else 0.0


def _multiplicity(block: Block, n: int) -> int:
    text = _cell(block, "_atom_site_symmetry_multiplicity", n) or _cell(
        block, "_atom_site_site_symmetry_multiplicity", n
    )
    return int(text) if text.isdigit() else 0


def settle_multiplicities(rows: list[Row], order: int) -> None:
    """Stated multiplicities as numbers of equivalent positions in a group of ``order`` operations.

    SHELX writes the order of the site symmetry instead (1 for a general position); a list that fits neither is dropped.
    """
    stated = [row.multiplicity for row in rows if row.multiplicity]
    if order == 1 or not stated:
        return
    of_sites = max(stated) == order or (min(stated) > 1 and all(order % m == 0 for m in stated))
    of_symmetry = not of_sites and all(order % m == 0 for m in stated)
    for row in rows:
        if of_symmetry and row.multiplicity:
            row.multiplicity = order // row.multiplicity
        elif not of_sites:
            row.multiplicity = 0


def _number(text: str) -> float:
    try:
        return value_of(text)
    except ValueError:
        return float("nan")


def _displacements(block: Block, table: Table, labels: list[str], cell: Floats, name: str) -> None:
    """U_iso and U_ij of the rows: B_ij / 8π², β_ij / 2π² a*_i a*_j.

    All are of the exponent −Σ β_ij h_i h_j, in which pairs i ≠ j stand twice (K. N. Trueblood et al., Acta Cryst. A 52,
    770 (1996)).
    """
    per_u = 8 * np.pi**2
    reciprocal = np.linalg.norm(np.linalg.inv(cell), axis=0)
    per_beta = 2 * np.pi**2 * np.outer(reciprocal, reciprocal)
    for tag, scale in (
        ("_atom_site_b_equiv_geom_mean", per_u),
        ("_atom_site_u_equiv_geom_mean", 1.0),
        ("_atom_site_b_iso_or_equiv", per_u),
        ("_atom_site_u_iso_or_equiv", 1.0),
    ):
        column = block.column(tag)
        for row in table.rows if column is not None else ():
            if column is not None and row.index < len(column):
                value = _number(column[row.index]) / scale
                row.isotropic = row.isotropic if np.isnan(value) else value
    for prefix, per in (("beta", per_beta), ("b", np.full((3, 3), per_u)), ("u", np.ones((3, 3)))):
        for base in (f"_atom_site_aniso_{prefix}_", f"_atom_site_anisotrop_{prefix}_"):
            columns = [block.column(base + key) for _, _, key in PAIRS]
            if any(column is None for column in columns):
                continue
            names = block.column("_atom_site_aniso_label", "_atom_site_anisotrop_id") or labels
            found = {label: n for n, label in enumerate(names)}
            by_row = len(found) < len(names) and names == labels  # labels that come twice
            if len(found) < len(names) and not by_row:
                table.notes.append(f"{name}: several rows of {NAMES[prefix]} have one label; they are not read")
                continue
            for row in table.rows:
                n = row.index if by_row else found.get(row.label, -1)
                values = [_number(column[n]) for column in columns if column is not None and 0 <= n < len(column)]
                if len(values) == 6 and np.isfinite(values).all():
                    row.tensor = np.zeros((3, 3))
                    for (i, j, _), value in zip(PAIRS, values, strict=True):
                        row.tensor[i, j] = row.tensor[j, i] = value / per[i, j]


def _moments(block: Block, table: Table, name: str) -> None:
    labels = block.column("_atom_site_moment_label", "_atom_site_moment_atom_site_label")
    columns = [
        block.column(f"_atom_site_moment_crystalaxis_{axis}", f"_atom_site_moment_crystalaxis_m{axis}")
        for axis in "xyz"
    ]
    if labels is None or any(column is None for column in columns):
        if labels is not None:
            table.notes.append(f"{name}: magnetic moments are read along the crystal's axes only; those given are not")
        return
    found = {label: n for n, label in enumerate(labels)}
    for row in table.rows:
        n = found.get(row.label)
        if n is not None:
            row.moment = np.array([_number(column[n]) for column in columns if column is not None])
