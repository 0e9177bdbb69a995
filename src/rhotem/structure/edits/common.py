"""What edits of atoms and sites have in common."""

from collections.abc import Sequence
from typing import Literal

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.displacement_tensors import picked
from rhotem.structure.edits.table import Generator
from rhotem.structure.indices import with_parent
from rhotem.structure.model import Structure
from rhotem.structure.moments import of_new_elements

#: How sites that are chosen by chance lie to each other.
Spread = Literal["random", "together", "apart"]


def known_elements(elements: dict[str, float]) -> None:
    """Refuse symbols that are no elements."""
    from ase.data import atomic_numbers

    for element in elements:
        if element not in atomic_numbers or element == "X":
            raise InputError(f"unknown element {element}; expected a chemical symbol")


def sites_of_element(structure: Structure, element: str) -> npt.NDArray[np.int64]:
    """Indices of the atoms of an element, at least one."""
    found = np.flatnonzero([symbol == element for symbol in structure.atoms.get_chemical_symbols()])
    if len(found) == 0:
        raise InputError(f"{structure.atoms.get_chemical_formula()} has no {element}")
    return found


def chosen(
    structure: Structure, sites: npt.NDArray[np.int64], count: int, rng: Generator | None, spread: Spread = "random"
) -> npt.NDArray[np.int64]:
    """``count`` of the sites: nearest to the middle of the cell first, or with ``rng`` random, together or apart.

    "together" and "apart" start from a random site; the next is always nearest to, or farthest from, those chosen.
    """
    if not 1 <= count <= len(sites):
        raise InputError(f"{count} atoms asked for; there are {len(sites)}")
    if rng is not None and spread != "random":
        return _correlated(structure, sites, count, rng, spread)
    if rng is not None:
        return rng.permutation(sites)[:count]
    middle = structure.cell.sum(axis=0) / 2
    from ase.geometry import find_mic

    distances = find_mic(structure.positions[sites] - middle, structure.cell)[1]
    return sites[np.argsort(np.round(distances, 4), kind="stable")][:count]


def _correlated(
    structure: Structure, sites: npt.NDArray[np.int64], count: int, rng: Generator, spread: Spread
) -> npt.NDArray[np.int64]:
    if spread not in ("together", "apart"):
        raise InputError(f"spread {spread!r}: expected random, together or apart")
    picked = [int(rng.integers(len(sites)))]
    atoms = structure.atoms[sites]
    sign = 1.0 if spread == "together" else -1.0
    while len(picked) < count:
        left = [i for i in range(len(sites)) if i not in picked]
        nearest = np.min([atoms.get_distances(i, left, mic=True) for i in picked], axis=0)
        picked.append(left[int(np.argmin(np.round(sign * nearest, 4)))])
    return sites[picked]


def edited(structure: Structure, keep: Sequence[int], symbols: Sequence[str], note: str) -> Structure:
    """The atoms ``keep`` with other symbols."""
    atoms = ase.Atoms(list(symbols), positions=structure.positions[list(keep)], cell=structure.cell, pbc=True)
    moments = of_new_elements(structure, atoms.numbers, keep)
    motion = same_elements(structure, atoms.numbers, keep)
    return derived(structure, atoms, note, moments=moments, displacements=motion)


def same_elements(
    structure: Structure, numbers: npt.NDArray[np.int64], sites: Sequence[int] | npt.NDArray[np.int64]
) -> npt.NDArray[np.float64] | None:
    """Displacements of the sites that atoms sit on; nothing is known of an atom that took another element's place."""
    motion = picked(structure.displacements, sites)
    if motion is not None:
        motion[structure.numbers[np.asarray(sites)] != numbers] = np.nan
    return motion


def derived(
    structure: Structure,
    atoms: ase.Atoms,
    note: str,
    *,
    charge: float | None = None,
    moments: npt.NDArray[np.float64] | None = None,
    displacements: npt.NDArray[np.float64] | None = None,
) -> Structure:
    """``atoms`` with what is known of the structure they came from, and a note of what was done."""
    info = {key: value for key, value in structure.info.items() if key not in ("file", "sha256")}
    info["notes"] = [*info.get("notes", []), note]
    info = with_parent(info, structure)
    return Structure(atoms, structure.charge if charge is None else charge, moments, info, displacements)
