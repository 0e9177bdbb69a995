"""Atoms of two elements exchange places."""

from collections.abc import Iterable
from dataclasses import replace

import ase
import numpy as np

from rhotem.core import InputError
from rhotem.structure.edits.common import Spread, chosen, edited, sites_of_element
from rhotem.structure.edits.table import Chance, Edit, Generator, amount, parts
from rhotem.structure.model import Structure


def antisite(
    structure: Structure,
    first: str,
    second: str,
    pairs: int = 1,
    rng: Generator | None = None,
    spread: Spread = "random",
) -> Structure:
    """Exchange atoms of two elements, pair by pair: Li–transition-metal mixing.

    The first of a pair is nearest to the middle of the cell (random with ``rng``); the second is its nearest neighbour
    of the other element that is not exchanged yet.
    """
    if first == second:
        raise InputError(f"antisite: exchanging {first} with itself changes nothing; name two elements")
    one = chosen(structure, sites_of_element(structure, first), pairs, rng, spread)
    two = sites_of_element(structure, second)
    if pairs > len(two):
        raise InputError(f"antisite: {pairs} pairs asked for, but there are {len(two)} atoms of {second}")
    symbols = structure.atoms.get_chemical_symbols()
    moments = None if structure.moments is None else np.array(structure.moments)
    for index, partner in partners(structure.atoms, one, two):
        symbols[index], symbols[partner] = second, first
        if moments is not None:
            moments[[index, partner]] = moments[[partner, index]]
    made = edited(structure, list(range(len(structure))), symbols, f"{pairs} {first}-{second} antisite pairs")
    return replace(made, moments=moments)


def partners(atoms: ase.Atoms, one: Iterable[int], two: Iterable[int]) -> list[tuple[int, int]]:
    """Every atom of ``one`` with the nearest of ``two`` that is not taken yet; periodic, ties to the first."""
    free, pairs = list(two), []
    for index in one:
        distances = atoms.get_distances(int(index), free, mic=True)
        pairs.append((int(index), int(free.pop(int(np.argmin(np.round(distances, 4)))))))
    return pairs


def _apply(structure: Structure, text: str, chance: Chance) -> Structure:
    first, second, *count = parts(text, "antisite", (2, 3))
    pairs = amount(count[0], len(sites_of_element(structure, first)), first) if count else 1
    return antisite(structure, first, second, pairs, chance.sites)


EDIT = Edit("antisite", 50, "Li:Ni[:n|n%]", "Exchange n neighbouring pairs, or n % of the first element.", _apply)
