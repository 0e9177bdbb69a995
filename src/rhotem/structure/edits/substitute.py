"""An element is replaced by another, or by vacancies."""

import numpy as np

from rhotem.core import InputError
from rhotem.structure.edits.common import derived, edited, known_elements, same_elements, sites_of_element
from rhotem.structure.edits.table import Chance, Edit, Generator, number, parts
from rhotem.structure.indices import standard_cell
from rhotem.structure.model import Structure
from rhotem.structure.moments import of_new_elements
from rhotem.structure.ordering import Sites, order, sites_of


def substitute(structure: Structure, element: str, by: str, fraction: float, rng: Generator | None = None) -> Structure:
    """Replace a fraction of an element by another; ordered in the smallest supercell, or at random with ``rng``."""
    return replace_element(structure, element, {by: fraction}, fraction, rng)


def replace_element(
    structure: Structure, element: str, by: dict[str, float], fraction: float, rng: Generator | None
) -> Structure:
    """Replace ``fraction`` of the sites of ``element`` by other elements (``by``: symbol -> share) or by vacancies."""
    sites = sites_of_element(structure, element)
    if not (np.isfinite(fraction) and 0 <= fraction <= 1):
        raise InputError(f"fraction {fraction}: expected a number from 0 to 1")
    known_elements(by)
    if rng is not None:
        kinds = [symbol for symbol, share in by.items() for _ in range(round(share * len(sites)))]
        count = round(fraction * len(sites))
        if abs(count / len(sites) - fraction) > 0.5 / len(sites) + 1e-9 or len(kinds) > count:
            raise InputError(f"fraction {fraction}: not possible with {len(sites)} atoms of {element}; repeat the cell")
        chosen = rng.permutation(sites)[:count]
        symbols = structure.atoms.get_chemical_symbols()
        for index, kind in zip(chosen, kinds, strict=False):
            symbols[index] = kind
        gone = set(chosen[len(kinds) :].tolist())
        keep = [i for i in range(len(structure)) if i not in gone]
        note = f"{count} of {len(sites)} {element} replaced at random"
        return edited(structure, keep, [symbols[i] for i in keep], note)
    occupants: list[dict[str, float]] = [{symbol: 1.0} for symbol in structure.atoms.get_chemical_symbols()]
    for index in sites:
        occupants[index] = {k: v for k, v in {element: 1.0 - fraction, **by}.items() if v > 1e-9}
    fractional = structure.atoms.get_scaled_positions()
    partial = Sites(structure.cell, fractional, occupants, standard_cell(structure).right_angles())
    atoms, note = order(partial)
    note = note.replace("the cell of the file", "the given cell")
    sites = sites_of(atoms, partial)
    motion, moments = same_elements(structure, atoms.numbers, sites), of_new_elements(structure, atoms.numbers, sites)
    charge = structure.charge * atoms.get_volume() / structure.volume
    return derived(structure, atoms, note, charge=charge, moments=moments, displacements=motion)


def _apply(structure: Structure, text: str, chance: Chance) -> Structure:
    old, new, share = parts(text, "substitute", 3)
    return substitute(structure, old, new, number(share), chance.sites)


EDIT = Edit("substitute", 30, "Ni:Mn:0.1", "Replace a fraction of an element by another.", _apply)
