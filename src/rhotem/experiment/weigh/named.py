"""Hypotheses as they are typed, and whether two of them are one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from rhotem.analysis import workflow
from rhotem.analysis.plan import Plan
from rhotem.core import InputError
from rhotem.density.source import default_source, source_class
from rhotem.structure.model import Structure

#: Cells and places that agree within this in Å are the same.
SAME = 1e-3


@dataclass(frozen=True)
class Named:
    """A hypothesis as it is typed: ``STRUCTURE`` or ``STRUCTURE@SOURCE``.

    Parameters
    ----------
    name : str
    structure : str
    source : str or None
        Of its density; None: that of the others.
    """

    name: str
    structure: str
    source: str | None = None


def parse_hypotheses(texts: Sequence[str]) -> list[Named]:
    """Hypotheses with names of their own; the same one twice is told apart by a number.

    Raises
    ------
    InputError
        If there are fewer than two, or there is no such source.
    """
    if len(texts) < 2:
        raise InputError(f"{len(texts)} hypothesis to weigh; give two or more: STRUCTURE or STRUCTURE@SOURCE")
    found: list[Named] = []
    for text in texts:
        structure, at, source = (text, "", "") if Path(text).exists() or "@" not in text else text.rpartition("@")
        if at:
            source_class(source)
        stem = Path(structure).stem if Path(structure).exists() else structure
        name = f"{stem}@{source}" if source else stem
        taken = {one.name for one in found}
        name = next(n for n in (name, *(f"{name} ({i})" for i in range(2, len(texts) + 2))) if n not in taken)
        found.append(Named(name, structure, source or None))
    return found


def duplicates(plans: dict[str, Plan]) -> list[tuple[str, str]]:
    """Pairs of hypotheses that are the same structure with the same density; structures are read.

    Raises
    ------
    InputError
        If a structure cannot be read.
    """
    crystals = {name: workflow.read_crystal(plan) for name, plan in plans.items()}
    sources = {
        name: plan.density.model_copy(update={"source": plan.density.source or default_source()})
        for name, plan in plans.items()
    }
    return [
        (one, other)
        for one, other in combinations(plans, 2)
        if sources[one] == sources[other] and same_crystal(crystals[one], crystals[other])
    ]


def same_crystal(one: Structure, other: Structure) -> bool:
    """Whether two structures have the same atoms in the same cell, or a supercell of it, in whatever order.

    Another origin may end a specimen with another layer: that is another hypothesis.
    """
    from scipy.spatial import cKDTree

    small, large = sorted((one, other), key=lambda structure: len(structure.atoms))
    first, second = small.atoms, large.atoms
    number, rest = divmod(len(second), len(first))
    if rest or not np.isclose(number * small.charge, large.charge):
        return False
    cell = first.cell.array
    repeats = np.round(second.cell.array @ np.linalg.inv(cell))
    if np.abs(repeats @ cell - second.cell.array).max() > SAME or round(abs(np.linalg.det(repeats))) != number:
        return False
    places = [np.mod(atoms.positions @ np.linalg.inv(cell), 1.0) % 1.0 for atoms in (first, second)]
    gaps, rows = cKDTree(places[0], boxsize=1.0).query(places[1])
    near = bool((gaps * np.linalg.norm(cell, axis=1).max() < SAME).all())
    whole = bool((np.bincount(rows, minlength=len(first)) == number).all())
    return near and whole and bool((first.numbers[rows] == second.numbers).all())
