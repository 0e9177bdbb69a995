"""Which space group a CIF block means: operations, then Hall symbol, then full H–M with its setting, number last."""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.cif.document import Block
from rhotem.structure.read.cif.operations import (
    METRIC,
    Operations,
    identity,
    is_group,
    lacks_centring,
    misfit,
    of_group,
    of_triplets,
    products,
    with_identity,
)
from rhotem.structure.read.contents import Floats

TRIPLETS = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_magn_operation_xyz",
    "_space_group_symop_magn_operation_mxmymz_xyz",
)
REVERSALS = ("_space_group_symop_magn_operation_timereversal", "_space_group_symop_magn_time_reversal")
CENTRINGS = ("_space_group_symop_magn_centering_xyz",)
HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
HERMANN = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m",
    "_symmetry_space_group_name_h-m_alt",
    "_space_group_name_h-m_ref",
)
NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number")
SCHOENFLIES = ("_space_group_name_schoenflies", "_symmetry_space_group_name_schoenflies")
SYSTEM_CODE = ("_space_group_it_coordinate_system_code",)


def candidates(block: Block, cell: Floats, name: str) -> tuple[list[Operations], list[str]]:
    """Operations that a block states, and remarks; more than one list where it leaves the origin or setting open.

    Raises
    ------
    InputError
        For operations that are no group, symbols that mean no space group, a cell that has not the symmetry.
    """
    notes: list[str] = []
    symbol, number = block.text(*HERMANN), block.number(*NUMBER)
    named = _by_name(block, cell)
    listed = next((rows for rows in map(block.filled, TRIPLETS) if rows), None)
    hall = block.text(*HALL)
    if listed is not None:
        return _listed(block, listed, named or [g for g in [_hall(hall)] if hall and g], name, notes), notes
    if hall:
        group = _hall(hall)
        if group is not None:
            if named and not any(group.keys == other.keys for other in named):
                notes.append(f"{name}: Hall symbol {hall!r} and {symbol!r} differ; the Hall symbol is used")
            return [group], notes
        notes.append(f"{name}: {hall!r} is no Hall symbol and is not used")
    if symbol:
        if named:
            if number and named[0].source and _number_of(symbol, cell) not in (0, int(number)):
                notes.append(f"{name}: space group {symbol!r} is not number {number:g}; the symbol is used")
            return named, notes
        if not number:
            raise InputError(
                f"{name}: {symbol!r} is no space group known, and no operations are listed; list them "
                "(_space_group_symop_operation_xyz) or write the full Hermann–Mauguin symbol"
            )
        notes.append(f"{name}: {symbol!r} is no space group known; number {number:g} is used in its standard setting")
    number = number or _schoenflies(block.text(*SCHOENFLIES))
    if number:
        groups = _by_number(int(number), cell, name)
        if not symbol:
            notes.append(f"{name}: space group by its number {number:g} alone, in the standard setting")
        return groups, notes
    if block.number("_cell_modulation_dimension") or block.text("_space_group_ssg_name", "_space_group_ssg_name_it"):
        raise InputError(
            f"{name}: a modulated structure, symmetry in superspace only; give its average or an approximant"
        )
    if block.text("_space_group_magn_name_bns", "_space_group_magn_number_bns"):
        raise InputError(f"{name}: magnetic space group without its operations; list them, or convert the file to P 1")
    notes.append(f"{name}: no symmetry stated; the atoms are taken as all there are (P 1)")
    return [identity()], notes


def _listed(block: Block, listed: list[str], named: list[Operations], name: str, notes: list[str]) -> list[Operations]:
    """Operations of the list, completed where that needs no guess; the symbol's beside them if centring lacks."""
    try:
        group = of_triplets(_with_reversal(block, listed), "the operations listed")
        centring = block.column(*CENTRINGS)
        if centring is not None:
            group = products(group, of_triplets(centring, ""))
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    if is_group(group):
        if named and not any(group.keys == other.keys for other in named) and len(named[0]) != len(group):
            centred = [other for other in named if len(group) > 1 and lacks_centring(group, other)]
            if centred:
                return [group, replace(centred[0], source=f"{centred[0].source}, centring added")]
            count = "one operation is" if len(group) == 1 else f"{len(group)} operations are"
            notes.append(
                f"{name}: {count} listed, {block.text(*HERMANN, *HALL)!r} has {len(named[0])}; the list is used"
            )
            return [group]
        return [replace(group, stated=True)]
    whole = with_identity(group)
    fitting = [other for other in named if group.keys <= other.keys]
    if len(fitting) == 1:
        notes.append(
            f"{name}: the operations listed are no group; those of {fitting[0].source}, which hold them, are used"
        )
        return fitting
    if whole is not None and is_group(whole):
        notes.append(f"{name}: x,y,z is missing among the operations and is added")
        return [whole]
    raise InputError(
        f"{name}: the {len(group)} symmetry operations are no group, some are missing or wrong; correct the list, or "
        "leave it out and name the space group"
    )


def _with_reversal(block: Block, listed: list[str]) -> list[str]:
    """Magnetic operations whose time reversal stands in a column of its own."""
    reversal = block.column(*REVERSALS)
    if reversal is None or len(reversal) != len(listed) or any(text.count(",") > 2 for text in listed):
        return listed
    return [f"{text},{sign.strip()}" for text, sign in zip(listed, reversal, strict=True)]


def _schoenflies(symbol: str) -> int:
    """Number of ``Oh^5`` or ``Oh.5``; 0 for anything else."""
    import spglib

    plain = re.sub(r"[\s_'^.{}]", "", symbol).lower()
    kinds = (spglib.get_spacegroup_type(hall) for hall in range(1, 531) if plain)
    return next((int(kind.number) for kind in kinds if kind and kind.schoenflies.replace("^", "").lower() == plain), 0)


def _hall(symbol: str) -> Operations | None:
    import gemmi

    try:
        group = gemmi.symops_from_hall(symbol.replace("_", " ").strip("'"))
    except (RuntimeError, ValueError):
        return None
    return of_group(group, f"Hall symbol {symbol!r}")


def _by_name(block: Block, cell: Floats) -> list[Operations]:
    """Groups that the Hermann–Mauguin symbols can mean, the setting that is stated first."""
    for tag in HERMANN:
        symbol = block.text(tag)
        found = _entries(symbol, cell, block.text(*SYSTEM_CODE)) if symbol else []
        if found:
            return [of_group(entry.operations(), f"space group {entry.xhm()}") for entry in found]
    return []


def _entries(symbol: str, cell: Floats, code: str = "") -> list[Any]:
    """Gemmi's entries for a symbol: one where origin and axes are stated or the cell decides, else both origins."""
    import ase.cell
    import gemmi

    parameters = ase.cell.Cell(cell).cellpar()
    bare, setting = split_setting(symbol)
    if not setting and code.strip().lower() in ("1", "2", "h", "r"):
        setting = code.strip().upper()
    entry = None
    for text in spellings(bare):
        entry = gemmi.find_spacegroup_by_name(text, parameters[3], parameters[5])
        if entry is not None:
            break
    if entry is None:  # short symbols of monoclinic groups with another unique axis
        compact = re.sub(r"[()_\s]", "", bare).lower()
        full = [compact[:1] + "11" + compact[1:], compact + "11"]
        return [other for other in gemmi.spacegroup_table() if other.short_name().lower() in full][:1]
    family = [other for other in gemmi.spacegroup_table() if other.number == entry.number and other.hm == entry.hm]
    if setting:
        stated = [other for other in family if other.ext == setting]
        return stated or [entry]
    if entry.ext in ("1", "2"):
        return sorted(family, key=lambda other: other.ext, reverse=True)
    if not entry.is_reference_setting() or misfit(of_group(entry.operations(), ""), cell) < METRIC:
        return [entry]
    # short monoclinic symbols: the unique axis is the one that the cell shows
    same = [o for o in gemmi.spacegroup_table() if o.number == entry.number and o.short_name() == entry.short_name()]
    return [o for o in same if misfit(of_group(o.operations(), ""), cell) < METRIC] or [entry]


def split_setting(symbol: str) -> tuple[str, str]:
    """A Hermann–Mauguin symbol without its setting, and the setting: ``1``, ``2``, ``H``, ``R`` or nothing.

    ``:2``, ``Z`` (origin at the centre) and ``:1``, ``S`` mean the origin; ``:H`` and ``:R`` the axes.
    """
    word = symbol.strip().strip("'\"").strip()
    match = re.fullmatch(r"(.*?)\s*:\s*([12HRhrSZsz])\w*", word) or re.fullmatch(
        r"(.*?[a-zA-Z0-9)])\s*([HRSZhr])", word
    )
    if match is None or not match[1].strip() or (":" not in word and match[2] in "hr" and match[1][:1] not in "Rr"):
        match = re.fullmatch(r"(.*?)\s*\(?\s*origin\s*(?:choice)?\s*([12])\)?", word, re.IGNORECASE)
        if match is None:
            return word, ""
    return match[1].strip(), {"S": "1", "Z": "2"}.get(match[2].upper(), match[2].upper())


def spellings(symbol: str) -> list[str]:
    """Ways to write a Hermann–Mauguin symbol that gemmi may know: ``P6(3)/mmc``, ``P2_1/n``, ``F 4/m -3 2/m``."""
    bare = re.sub(r"\((\d)\)", r"\1", symbol).replace("_", "").replace("~", "")
    bare = re.sub(r"\\(?:bar|overline)\s*\{?\s*(?=\d)|\bbar\s*(?=\d)", "-", bare)
    bare = re.sub(r"<su[bp]>|</su[bp]>|[{}$\\]", "", bare)
    bare = " ".join(re.sub(r"\s*/\s*", "/", bare).split())
    ways = [symbol if "/" not in symbol else bare, bare, bare.replace(" ", "")]
    words = bare.split()
    if len(words) == 4 and words[1] in ("3", "-3") and words[3] == "1":  # P -3 2/m 1
        ways.append(" ".join([*words[:2], re.sub(r"^\d/", "", words[2]), "1"]))
    if len(words) == 4 and words[1] in ("3", "-3") and words[2] == "1":  # P -3 1 2/m
        ways.append(" ".join([*words[:3], re.sub(r"^\d/", "", words[3])]))
    if len(words) >= 3 and "1" not in words[1:2] + words[3:]:
        slim = [re.sub(r"^\d+/", "", word) for word in words]
        ways += [" ".join([*words[:2], *slim[2:]]), " ".join(slim)]
    elif len(words) == 1 and "-3" in bare:
        ways.append(re.sub(r"(?<![-\d])\d+/|(?<=-3)\d/", "", bare))
    # screw axes of symbols without blanks: P63/mmc, P212121
    spaced = re.sub(r"(2121|212|21|31|32|41|42|43|61|62|63|64|65)", r" \1 ", bare.replace(" ", ""))
    ways.append(" ".join(spaced.split()))
    return list(dict.fromkeys(way for way in ways if way))


def _number_of(symbol: str, cell: Floats) -> int:
    found = _entries(symbol, cell)
    return int(found[0].number) if found else 0


def _by_number(number: int, cell: Floats, name: str) -> list[Operations]:
    """The standard setting of a number; both origins where there are two, rhombohedral axes where the cell has them."""
    import gemmi

    if not 1 <= number <= 230:
        raise InputError(f"{name}: space group number {number}, expected 1 to 230")
    table = [entry for entry in gemmi.spacegroup_table() if entry.number == number]
    standard = gemmi.get_spacegroup_reference_setting(number)
    chosen = [entry for entry in table if entry.hm == standard.hm]
    chosen.sort(key=lambda entry: (not entry.is_reference_setting(), entry.xhm()))
    groups = [of_group(entry.operations(), f"space group {entry.xhm()}") for entry in chosen]
    fitting = [group for group in groups if misfit(group, cell) < METRIC]
    if not fitting:  # another unique axis
        others = [of_group(entry.operations(), f"space group {entry.xhm()}") for entry in table]
        fitting = [group for group in others if misfit(group, cell) < METRIC]
    if standard.ext in ("H", "R", ""):
        return (fitting or groups)[:1]
    return fitting or groups


def same_crystal(one: Floats, two: Floats) -> bool:
    """Whether two sorted lists of distances are the same."""
    return one.shape == two.shape and bool(np.allclose(one, two, atol=1e-3))
