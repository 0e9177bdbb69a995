"""Changes of a specimen that one may want to see: a specimen without and one with it, atom for atom the same else."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ase
import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from rhotem.analysis.columns import Column, columns
from rhotem.analysis.specimen import Specimen
from rhotem.core import InputError
from rhotem.structure.bonded import bonded_groups
from rhotem.structure.edits.antisite import partners
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell


@dataclass(frozen=True)
class Feature:
    """A change by name: ``vacancy:Li``, ``vacancy:Li:3``, ``vacancy:Li:20%``, ``dopant:Ni=Al``, ``antisite:Li/Ni``,
    ``molecule:C``, ``molecule:C:100%`` (a guest with all that is bonded to it; all in a column), ``density`` (what
    bonding changes: no atom does).

    Parameters
    ----------
    kind : str
        A key of `FEATURES`, or "density".
    elements : tuple of str
    number : float
        Atoms of one column, or, below 0, minus the share of them.
    """

    kind: str
    elements: tuple[str, ...] = ()
    number: float = 1.0

    def __str__(self) -> str:
        amount = f"{self.number:g}" if self.number > 0 else f"{-100 * self.number:g} %"
        return WORDS[self.kind].format(amount, *self.elements)


#: Moves the atoms of a structure to where they are at rest, cell and order as they are.
Relaxation = Callable[[Structure], Structure]
#: What a feature is, by kind.
WORDS = {
    "vacancy": "{0} of a column's {1} missing",
    "dopant": "{0} of a column's {1} replaced by {2}",
    "antisite": "{0} of a column's {1} in the place of {2}, and {2} in theirs",
    "molecule": "{0} of a column's molecules that hold {1} missing",
    "density": "the bonded density instead of free atoms",
}
#: A feature is written so.
_WRITTEN = re.compile(r"(?P<kind>[a-z]+)(?::(?P<elements>[A-Z][a-z]?(?:[/=][A-Z][a-z]?)?))?(?::(?P<amount>[\d.]+%?))?")


def parse_feature(text: str) -> Feature:
    """A feature as it is written on the command line.

    Raises
    ------
    InputError
        If it is none.
    """
    match = _WRITTEN.fullmatch(text.strip())
    known = ", ".join(("vacancy:Li", "vacancy:Li:20%", "dopant:Ni=Al", "antisite:Li/Ni", "molecule:C", "density"))
    if match is None or match["kind"] not in (*FEATURES, "density"):
        raise InputError(f"feature {text!r}: expected one of {known}")
    elements = tuple(re.split("[/=]", match["elements"])) if match["elements"] else ()
    wanted = 0 if match["kind"] == "density" else 1 if match["kind"] in ("vacancy", "molecule") else 2
    if len(elements) != wanted:
        raise InputError(
            f"feature {text!r}: {match['kind']} takes {wanted} element{'s' * (wanted != 1)}, as in {known}"
        )
    for element in elements:
        if element not in atomic_numbers:
            raise InputError(f"feature {text!r}: no element {element}")
    if len(elements) == 2 and elements[0] == elements[1]:
        raise InputError(f"feature {text!r}: changes nothing; name two different elements")
    amount = match["amount"] or "1"
    number = -float(amount[:-1]) / 100 if amount.endswith("%") else float(amount)
    if not (number >= 1 or -1 <= number < 0) or (number >= 1 and number != int(number)):
        raise InputError(f"feature {text!r}: {amount} atoms of a column; give a whole number, or a share up to 100%")
    if match["kind"] == "molecule" and number not in (1, -1):
        one = f"molecule:{elements[0]}"
        raise InputError(f"feature {text!r}: one molecule, or all of a column; write {one} or {one}:100%")
    return Feature(match["kind"], elements, number)


@dataclass(frozen=True, eq=False)
class Pair:
    """A specimen before and after a change.

    Parameters
    ----------
    before, after : Specimen
        On one grid.
    kept : (M,) int array
        Row in ``before`` of every atom of ``after``, so that both move alike.
    place : (float, float)
        Of the column that changes, Å.
    label : str
        What the column is made of.
    atoms : int
        Atoms that change.
    moved : float or None
        How far an atom gives way to the change at most, Å; None: not relaxed.
    """

    before: Specimen
    after: Specimen
    kept: npt.NDArray[np.int64]
    place: tuple[float, float]
    label: str
    atoms: int
    moved: float | None = None


def make_pair(host: Specimen, feature: Feature, relaxed: Relaxation | None = None) -> Pair:
    """Both specimens from one without the feature, whose cell is large enough to hold it.

    ``relaxed``: atoms give way to the change. Both are relaxed and only what they do differently is taken: the crystal
    without the change stays as it is, whatever a potential would make of it.

    Raises
    ------
    InputError
        If the specimen has no such column.
    """
    cell = ImagingCell.from_orthogonal(host.cell.structure)
    before = replace(host, cell=cell, block=cell)
    middle = 0.5 * np.array([cell.lengths[0], cell.lengths[1]])
    column = _nearest(columns(cell), feature.elements[0], middle)
    rows = _rows(cell.structure, column, feature.elements[0])
    chosen = _chosen(rows, feature, column)
    atoms, kept = FEATURES[feature.kind](cell.structure.atoms.copy(), chosen, feature.elements)
    ways = None
    if relaxed is not None:
        ways = _moves(atoms, relaxed) - _moves(cell.structure.atoms, relaxed)[kept]
        atoms.positions += ways
    changed = ImagingCell.from_orthogonal(Structure(atoms, charge=cell.structure.charge, info=cell.structure.info))
    place = (float(column.position[0]), float(column.position[1]))
    return Pair(
        before,
        replace(host, cell=changed, block=changed),
        kept,
        place,
        column.label,
        _changed(before, kept, len(chosen)),
        None if ways is None else float(np.linalg.norm(ways, axis=1).max()),
    )


def _moves(atoms: ase.Atoms, relaxed: Relaxation) -> npt.NDArray[np.float64]:
    """Where atoms go (N, 3), Å."""
    return np.asarray(relaxed(Structure(atoms.copy())).positions - atoms.positions)


def _changed(before: Specimen, kept: npt.NDArray[np.int64], chosen: int) -> int:
    """Atoms that are gone, or else those that were exchanged or replaced."""
    return len(before.block.structure) - len(kept) or chosen


def _nearest(found: Sequence[Column], element: str, middle: npt.NDArray[np.float64]) -> Column:
    own = [c for c in found if element in c.label.split("/")]
    if not own:
        labels = ", ".join(sorted({c.label for c in found}))
        raise InputError(f"no column holds {element}; seen along this axis there are {labels}")
    purest = min(len(c.label.split("/")) for c in own)
    return min(
        (c for c in own if len(c.label.split("/")) == purest), key=lambda c: float(np.hypot(*(c.position - middle)))
    )


def _rows(structure: Structure, column: Column, element: str) -> list[int]:
    """Atoms of an element in a column, by depth."""
    own = [row for row in column.rows if structure.numbers[row] == atomic_numbers[element]]
    return sorted(own, key=lambda row: float(structure.positions[row, 2]))


def _chosen(rows: list[int], feature: Feature, column: Column) -> list[int]:
    """Atoms that change: as many as asked for, evenly spread in depth about the middle."""
    number = feature.number if feature.number > 0 else max(1, round(-feature.number * len(rows)))
    if number > len(rows):
        raise InputError(
            f"{feature.number:g} atoms of {feature.elements[0]}: the {column.label} column has {len(rows)} at this "
            "thickness"
        )
    places = (np.arange(int(number)) + 0.5) / number * len(rows)
    return [rows[int(place)] for place in places]


def _vacancy(atoms: ase.Atoms, chosen: list[int], elements: Sequence[str]) -> tuple[ase.Atoms, npt.NDArray[np.int64]]:
    kept = np.setdiff1d(np.arange(len(atoms)), chosen)
    return atoms[kept], kept


def _dopant(atoms: ase.Atoms, chosen: list[int], elements: Sequence[str]) -> tuple[ase.Atoms, npt.NDArray[np.int64]]:
    atoms.numbers[chosen] = atomic_numbers[elements[1]]
    return atoms, np.arange(len(atoms))


def _antisite(atoms: ase.Atoms, chosen: list[int], elements: Sequence[str]) -> tuple[ase.Atoms, npt.NDArray[np.int64]]:
    """Each chosen atom changes place with the nearest of the other element that has not yet."""
    other = np.flatnonzero(atoms.numbers == atomic_numbers[elements[1]])
    if len(other) < len(chosen):
        raise InputError(f"antisite: fewer {elements[1]} than {elements[0]} that change; the specimen has {len(other)}")
    for one, two in partners(atoms, chosen, other):
        atoms.numbers[[one, two]] = atoms.numbers[[two, one]]
    return atoms, np.arange(len(atoms))


def _molecule(atoms: ase.Atoms, chosen: list[int], elements: Sequence[str]) -> tuple[ase.Atoms, npt.NDArray[np.int64]]:
    """Without the chosen atoms and all that bonds connect them with."""
    group, _, loops = bonded_groups(atoms)
    gone = np.flatnonzero(np.isin(group, group[chosen]))
    if any(len(loops[number]) for number in group[chosen]):
        raise InputError(f"molecule: bonds connect {elements[0]} with the whole crystal; name an element of a guest")
    return _vacancy(atoms, gone.tolist(), elements)


Change = Callable[[ase.Atoms, list[int], Sequence[str]], tuple[Any, npt.NDArray[np.int64]]]

#: What changes atoms, by name.
FEATURES: dict[str, Change] = {"vacancy": _vacancy, "dopant": _dopant, "antisite": _antisite, "molecule": _molecule}
