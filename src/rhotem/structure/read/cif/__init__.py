"""CIF and magnetic CIF: gemmi parses, symmetry is applied and checked, statements of the file are compared with it."""

from dataclasses import dataclass, replace

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.cell import cell_of
from rhotem.structure.read.cif import claims
from rhotem.structure.read.cif.atoms import Row, Table, formula_elements, read_rows, settle_multiplicities
from rhotem.structure.read.cif.document import Block, blocks
from rhotem.structure.read.cif.expand import FULL_SHARE, expanded, special_place
from rhotem.structure.read.cif.operations import METRIC, Operations, check_cell, misfit
from rhotem.structure.read.cif.symmetry import candidates
from rhotem.structure.read.contents import Contents, Floats, Text
from rhotem.structure.read.sites import FULL, Merged, close_pairs, merged

LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
KELVIN = ("_diffrn_ambient_temperature", "_cell_measurement_temperature", "_diffrn_ambient_temp")
#: Full atoms nearer than this part of their covalent radii are no crystal.
TOO_CLOSE, CLOSE = 0.5, 0.6


@dataclass(frozen=True, eq=False)
class _Trial:
    """A block read by one list of operations; ``error`` says what speaks against it."""

    group: Operations
    contents: Contents
    nearness: float
    misfit: float
    error: str = ""
    notes: tuple[str, ...] = ()


def read_cif(text: Text) -> Contents:
    """Atoms of the first data block that holds a structure.

    Raises
    ------
    InputError
        For anything that cannot be read for sure: rows, symbols, operations, a cell of another symmetry, an origin that
        is open, a composition, Z or density far from what the file states.
    """
    name = text.path.name
    found, notes = blocks(text.path, text.all)
    with_atoms = [block for block in found if block.column("_atom_site_fract_x") or block.column("_atom_site_label")]
    usable = [block for block in with_atoms if block.column(LENGTHS[0]) and block.column("_atom_site_fract_x")]
    usable = [block for block in usable if block.text(LENGTHS[0]) and block.filled("_atom_site_fract_x")] or usable
    if not usable:
        raise InputError(f"{text.path}: {_what_is_missing(found, with_atoms)}")
    block = usable[0]
    if len(usable) > 1:
        others = ", ".join(other.name for other in usable[1:5]) + (", ..." if len(usable) > 5 else "")
        notes.append(f"{name}: {len(usable)} structures; the first, block {block.name}, is read (others: {others})")
    elif len(found) > 1:
        notes.append(f"{name}: block {block.name} of {len(found)} is read, the only one with atoms")
    contents = _read_block(block, name)
    return replace(contents, kelvin=block.number(*KELVIN), notes=(*notes, *contents.notes))


def _read_block(block: Block, name: str) -> Contents:
    cell, notes = _cell(block, name)
    groups, more = candidates(block, cell, name)
    notes += more
    table = read_rows(block, cell, name)
    notes += dict.fromkeys(table.notes)
    if not table.rows:
        raise InputError(f"{name}: block {block.name} has no atoms")
    fitting = [group for group in groups if misfit(group, cell) < METRIC]
    if not fitting:
        check_cell(groups[0], cell, name)
    groups = fitting
    settle_multiplicities(table.rows, len(groups[0]))
    trials = [_tried(block, table, group, cell, name) for group in groups]
    trial = trials[0] if len(trials) == 1 else _chosen(trials, name, notes)
    if trial.error:
        raise InputError(f"{name}: {trial.error}")
    notes += [f"{name}: {note}" for note in trial.notes]
    if table.attached_hydrogens and not any("H of the formula" in note for note in trial.notes):
        notes.append(f"{name}: {table.attached_hydrogens} attached H of its atom table have no places and are missing")
    return replace(trial.contents, notes=(*notes, *trial.contents.notes))


def _tried(block: Block, table: Table, group: Operations, cell: Floats, name: str) -> _Trial:
    """A block read by one list of operations and judged by what the file states.

    Occupancies near special positions have two meanings; where the composition contradicts the first, the second and
    SHELX's (the share of the asymmetric unit) are tried, and taken if the composition proves them.
    """
    first = _meaning(block, table, group, cell, name)
    if not table.has_occupancies or (not first.error and first.misfit == 0):
        return first
    second = _meaning(block, table, group, cell, name, rounded=True)
    if not second.error and second.misfit == 0:
        return second
    shared = [replace(row, occupancy=_of_site(row, group, cell)) for row in table.rows]
    if any(row.occupancy != other.occupancy for row, other in zip(table.rows, shared, strict=True)):
        third = _meaning(block, replace(table, rows=shared), group, cell, name)
        if not third.error and third.misfit == 0 and not third.notes and formula_elements(block):
            said = "occupancies are shares of the asymmetric unit, as the composition shows; made those of sites"
            return replace(third, notes=(said,))
    return first


def _of_site(row: Row, group: Operations, cell: Floats) -> float:
    """An occupancy that counts the site's symmetry (SHELX) as that of the site."""
    stay = len(special_place(row, group, cell)[1])
    return row.occupancy * stay if row.occupancy * stay < FULL_SHARE else row.occupancy


def _meaning(block: Block, table: Table, group: Operations, cell: Floats, name: str, rounded: bool = False) -> _Trial:
    """One meaning of the occupancies, judged."""
    contents = expanded(table.rows, group, cell, name, table.has_occupancies, rounded)
    amounts: dict[str, float] = {}
    isotopes: dict[str, float] = {}
    shares = np.ones(len(contents.symbols)) if contents.occupancies is None else contents.occupancies
    for symbol, share in zip(contents.symbols, shares.tolist(), strict=True):
        amounts[symbol] = amounts.get(symbol, 0.0) + share
    of_label = {row.label: row.isotope for row in table.rows if row.isotope}
    for label, symbol, share in zip(contents.labels, contents.symbols, shares.tolist(), strict=True):
        if symbol == "H" and label in of_label:
            isotopes[of_label[label]] = isotopes.get(of_label[label], 0.0) + share
    try:
        sites = merged(contents, name)
    except InputError as error:
        return _Trial(group, contents, 0.0, np.inf, str(error).removeprefix(f"{name}: "))
    volume = float(abs(np.linalg.det(cell)))
    stated = formula_elements(block)
    verdict = claims.compare(block, stated, (amounts, isotopes), volume, group.stated)
    if verdict.error and contents.occupancies is not None:
        # writers that know no occupancies in formulas (ASE) count every row as an atom
        whole = {symbol: float(contents.symbols.count(symbol)) for symbol in amounts}
        if not claims.compare(block, stated, (whole, {}), volume, group.stated).misfit:
            verdict = claims.Verdict(0.02, ("its formula counts partly occupied sites as full",))
    return _Trial(group, contents, _nearness(sites), verdict.misfit, verdict.error, verdict.notes)


def _nearness(sites: Merged) -> float:
    """Shortest distance of fully occupied sites in units of the covalent radii's sum; 1 if none are near."""
    from ase.data import atomic_numbers, covalent_radii

    contents = sites.contents
    radii = np.array([covalent_radii[atomic_numbers[symbol]] for symbol in contents.symbols])
    full = np.array([len(kinds) == 1 and min(kinds.values()) >= FULL for kinds in sites.occupants])
    i, j, d = close_pairs(contents, float(2 * CLOSE * radii.max()))
    both = full[i] & full[j]
    return float((d[both] / (radii[i] + radii[j])[both]).min(initial=1.0))


def _chosen(trials: list[_Trial], name: str, notes: list[str]) -> _Trial:
    """The one reading of several that makes a crystal and agrees with the file; InputError if two do and differ."""
    good = [trial for trial in trials if not trial.error and trial.nearness >= TOO_CLOSE]
    best = min((trial.misfit for trial in good), default=0.0)
    good = [trial for trial in good if trial.misfit <= best + 0.005]
    if len(good) > 1 and any(trial.nearness >= CLOSE for trial in good):
        good = [trial for trial in good if trial.nearness >= CLOSE]
    if not good:
        return max(trials, key=lambda trial: (not trial.error, trial.nearness))
    if len(good) > 1 and not all(_same(good[0], other) for other in good[1:]):
        if any("centring" in trial.group.source for trial in good):
            raise InputError(
                f"{name}: its operations lack the centring of its space group, and both make a crystal "
                f"({' or '.join(_formula(trial.contents) for trial in good)}); add the missing operations, or correct "
                "the symbol"
            )
        readings = " or ".join(f"{trial.group.source}: {_formula(trial.contents)}" for trial in good)
        raise InputError(
            f"{name}: the origin or setting of its space group is not stated, and both make a crystal ({readings}); "
            "add it to the symbol, such as 'F d -3 m :2', or list the operations"
        )
    if len(good) < len(trials) or not _same(trials[0], trials[-1]):
        open_part = "the origin is not stated"
        if any("centring" in trial.group.source for trial in trials):
            open_part = "the operations listed lack the centring of the space group"
        notes.append(f"{name}: {open_part}; only {good[0].group.source} makes sense of the atoms")
    return good[0]


def _same(one: _Trial, two: _Trial) -> bool:
    """Whether two readings are one crystal: the same atoms with the same distances."""
    if _formula(one.contents) != _formula(two.contents):
        return False
    first, second = (np.sort(close_pairs(trial.contents, 4.0)[2]) for trial in (one, two))
    return first.shape == second.shape and bool(np.allclose(first, second, atol=1e-3))


def _formula(contents: Contents) -> str:
    symbols = sorted(set(contents.symbols))
    return "".join(f"{symbol}{contents.symbols.count(symbol)}" for symbol in symbols)


def _cell(block: Block, name: str) -> tuple[Floats, list[str]]:
    lengths = [block.number(tag) for tag in LENGTHS]
    for tag, length in zip(LENGTHS, lengths, strict=True):
        if length is None or not length > 0:
            raise InputError(f"{name}: {tag} is {block.text(tag) or 'missing'!r}, expected a length in Å")
    angles, open_angles = [], []
    for tag in ANGLES:
        text = block.text(tag)
        angle = block.number(tag) if text else 90.0  # the dictionary's default
        if angle is None or not 0 < angle < 180:
            raise InputError(f"{name}: {tag} is {text!r}, expected an angle in degrees")
        angles.append(angle)
        open_angles += [] if text else [tag]
    cell = cell_of([length or 0.0 for length in lengths] + angles, name)
    return cell, [f"{name}: {', '.join(open_angles)} not stated, 90° is taken"] if open_angles else []


def _what_is_missing(found: list[Block], with_atoms: list[Block]) -> str:
    if not with_atoms:
        return "it has no table of atoms (_atom_site_fract_x, _y, _z)"
    if with_atoms[0].column("_atom_site_cartn_x") and not with_atoms[0].column("_atom_site_fract_x"):
        return "it gives Cartesian coordinates only (a macromolecular CIF?); expected _atom_site_fract_x, _y and _z"
    if not any(block.column(LENGTHS[0]) for block in found):
        return "it has no cell (_cell_length_a, ...)"
    return "no data block has both cell and atoms (_cell_length_a, _atom_site_fract_x)"
