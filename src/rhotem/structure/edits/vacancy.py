"""Atoms are taken out."""

from rhotem.core import InputError
from rhotem.structure.edits.common import Spread, chosen, edited, sites_of_element
from rhotem.structure.edits.table import Chance, Edit, Generator, amount, parts
from rhotem.structure.model import Structure


def vacancy(
    structure: Structure, element: str, count: int = 1, rng: Generator | None = None, spread: Spread = "random"
) -> Structure:
    """Take out ``count`` atoms of an element: those nearest to the middle of the cell, or random ones with ``rng``."""
    sites = chosen(structure, sites_of_element(structure, element), count, rng, spread)
    keep = [i for i in range(len(structure)) if i not in set(sites.tolist())]
    if not keep:
        raise InputError(f"{count} vacancies of {element} would leave no atom; repeat the cell")
    symbols = structure.atoms.get_chemical_symbols()
    return edited(structure, keep, [symbols[i] for i in keep], f"{count} {element} vacancies")


def _apply(structure: Structure, text: str, chance: Chance) -> Structure:
    element, *count = parts(text, "vacancy", (1, 2))
    number = amount(count[0], len(sites_of_element(structure, element)), element) if count else 1
    return vacancy(structure, element, number, chance.sites)


EDIT = Edit("vacancy", 40, "O[:n|n%]", "Remove n atoms of an element, or n % of them.", _apply)
