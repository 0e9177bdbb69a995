"""Point defects: the cell that holds a composition exactly, and what became of each of its sites."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.specimen import HOST, Specimen
from rhotem.core import InputError
from rhotem.structure.build import repeated
from rhotem.structure.edits.common import sites_of_element
from rhotem.structure.edits.table import EXACT, amount, number, parts, whole
from rhotem.structure.model import Structure

#: Most atoms of a cell that is repeated to hold a percentage.
MOST_ATOMS = 400
#: Å: an atom this near to a site sits on it.
SAME_SITE = 0.05

#: The amount of a perfect cell, with which a series of growing amounts begins.
NONE = "0"
#: What is always asked of point defects.
REPEAT_HELP = "Repeat the cell first; without it a percentage finds the smallest compact cell."


def cell_for(structure: Structure, element: str, text: str, repeat: str | None) -> tuple[Structure, int]:
    """The cell, repeated along its own axes, that holds an amount of an element's sites exactly, and that amount.

    Parameters
    ----------
    structure : Structure
    element : str
    text : str
        ``3`` or ``5%``.
    repeat : str or None
        ``nx,ny,nz``; None: once for a count, the smallest compact cell for a percentage.

    Raises
    ------
    InputError
        If the element is missing, or no cell up to 400 atoms holds the percentage.
    """
    sites = len(sites_of_element(structure, element))
    if repeat is not None:
        nx, ny, nz = (whole(n) for n in parts(repeat, "repeat", 3, ","))
        structure = repeated(structure, nx, ny, nz)
        return structure, amount(text, sites * nx * ny * nz, element)
    if not text.endswith("%"):
        return structure, amount(text, sites, element)
    share = number(text[:-1]) / 100.0
    if not (np.isfinite(share) and 0 < share <= 1):
        raise InputError(f"{text} of {element}: expected a percentage above 0 and up to 100")
    made = compact_cell(structure, lambda copies: _whole_number(share, sites * copies))
    if made is not None:
        return made[0], round(share * sites * int(np.prod(made[1])))
    raise InputError(
        f"{text} of {element}: no cell of up to {MOST_ATOMS} atoms holds it ({sites} in the cell given); give --repeat"
    )


def _whole_number(share: float, sites: int) -> bool:
    wanted = share * sites
    return round(wanted) >= 1 and abs(wanted - round(wanted)) <= EXACT * sites


def compact_cell(structure: Structure, holds: Callable[[int], bool]) -> tuple[Structure, tuple[int, int, int]] | None:
    """The fewest copies of a cell that ``holds``, longest side and then sum of sides shortest, and its repeats.

    None if there is none of up to 400 atoms.
    """
    sides = np.linalg.norm(structure.cell, axis=1)
    for copies in range(1, max(1, MOST_ATOMS // len(structure)) + 1):
        if holds(copies):
            ways = [n for n in product(range(1, copies + 1), repeat=3) if np.prod(n) == copies]
            nx, ny, nz = min(ways, key=lambda n: (*np.round([np.max(n * sides), np.sum(n * sides)], 3), n))
            return repeated(structure, nx, ny, nz), (nx, ny, nz)
    return None


def compared(before: Structure, after: Structure, names: dict[str, str]) -> Specimen:
    """The specimen ``after`` with every site of ``before`` that changed as a defect.

    Parameters
    ----------
    before, after : Structure
        In the same cell; atoms of ``after`` sit on sites of ``before``.
    names : dict
        Kind of the change -> word for it: ``vacancy`` and ``exchange``.

    Raises
    ------
    InputError
        If an atom sits on no site.
    """
    site = site_of_atoms(before, after)
    symbols, was = after.atoms.get_chemical_symbols(), before.atoms.get_chemical_symbols()
    made = Specimen.of(after, before)
    role = np.full(len(after), HOST, dtype=object)
    defects: list[dict[str, Any]] = []
    for atom, place in enumerate(site):
        if symbols[atom] != was[place]:
            role[atom] = names["exchange"]
            where = before.positions[place].round(6).tolist()
            defects.append(
                {"kind": names["exchange"], "element": symbols[atom], "instead_of": was[place], "position_A": where}
            )
    for place in sorted(set(range(len(before))) - set(site.tolist())):
        where = before.positions[place].round(6).tolist()
        defects.append({"kind": names["vacancy"], "element": was[place], "position_A": where})
    return Specimen(after, made.regions, made.region, role, defects, [before])


def site_of_atoms(before: Structure, after: Structure) -> npt.NDArray[np.int64]:
    """Index in ``before`` of the site that every atom of ``after`` sits on.

    Raises
    ------
    InputError
        If one sits on none, or two on one.
    """
    from scipy.spatial import cKDTree

    sides = np.linalg.norm(before.cell, axis=1)
    fractional = [s.atoms.get_scaled_positions(wrap=True) % 1.0 % 1.0 for s in (before, after)]
    tree = cKDTree(fractional[0] * sides, boxsize=sides)
    _, site = tree.query(fractional[1] * sides)
    apart = fractional[1] - fractional[0][site]
    distance = np.linalg.norm((apart - np.rint(apart)) @ before.cell, axis=1)
    if distance.max(initial=0.0) > SAME_SITE or len(set(site.tolist())) < len(site):
        raise InputError("defects: an atom sits on no site of the crystal, or two on one")
    return np.asarray(site, dtype=np.int64)
