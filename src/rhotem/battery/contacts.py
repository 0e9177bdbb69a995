"""Contacts: how near atoms of a specimen come to each other, compared with the crystals that it is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhotem.structure.model import Structure
from rhotem.structure.ordering import formal_charge

#: Distances in Å up to which crystals are asked.
REACH = 6.0
#: A contact below this share of the bulk's shortest is too near.
NEAR = 0.8


@dataclass(frozen=True)
class Contact:
    """The nearest two atoms of a pair of elements: distance and what the bulk has, in Å."""

    elements: tuple[str, str]
    distance: float
    bulk: float

    @property
    def ratio(self) -> float:
        """Distance as a share of that in the bulk."""
        return self.distance / self.bulk

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"pair": "-".join(self.elements), "distance_A": self.distance, "bulk_A": self.bulk, "ratio": self.ratio}

    def __str__(self) -> str:
        pair = "–".join(self.elements)
        return f"{pair} {self.distance:.2f} Å, {100 * self.ratio:.0f} % of the bulk's {self.bulk:.2f} Å"


def shortest_pairs(structures: Sequence[Structure], reach: float = REACH) -> dict[tuple[int, int], float]:
    """Shortest distance in Å of every pair of elements (Z ≤ Z') in any of the structures, up to ``reach``."""
    from ase.neighborlist import neighbor_list

    found: dict[tuple[int, int], float] = {}
    for structure in structures:
        atoms = structure.atoms.copy()
        atoms.pbc = True
        i, j, d = neighbor_list("ijd", atoms, reach)
        one, two = np.sort([atoms.numbers[i], atoms.numbers[j]], axis=0)
        for pair in np.unique(np.stack([one, two], axis=1), axis=0).tolist() if len(d) else []:
            least = float(d[(one == pair[0]) & (two == pair[1])].min())
            key = (pair[0], pair[1])
            found[key] = min(found.get(key, np.inf), least)
    return found


def contacts(structure: Structure, references: Sequence[Structure]) -> list[Contact]:
    """The nearest contact of every pair of elements, worst first.

    Elements that share sites on average (``info["shared"]`` of a reference) count as one in the bulk. A pair that no
    reference has counts as the mean of its like pairs where both charges have one sign (Lorentz's
    rule), else as the sum of covalent radii.
    """
    from ase.data import chemical_symbols

    bulk = _alike(shortest_pairs(references), [group for r in references for group in r.info.get("shared", [])])
    result = []
    for (one, two), distance in shortest_pairs([structure], reach=3.5).items():
        names = (chemical_symbols[one], chemical_symbols[two])
        result.append(Contact(names, distance, bulk.get((one, two)) or _expected(one, two, bulk)))
    return sorted(result, key=lambda contact: contact.ratio)


def _alike(bulk: dict[tuple[int, int], float], groups: Sequence[Sequence[str]]) -> dict[tuple[int, int], float]:
    """The table with the shortest distance of a group for every pair that differs only within groups."""
    from ase.data import atomic_numbers

    table = dict(bulk)
    for group in groups:
        kinds = [atomic_numbers[symbol] for symbol in group]
        others = {z for pair in table for z in pair} | set(kinds)
        for other in others:
            pairs = [(min(z, k), max(z, k)) for z in kinds for k in (kinds if other in kinds else [other])]
            known = [table[pair] for pair in pairs if pair in table]
            for pair in pairs if known else []:
                table[pair] = min(known)
    return table


def _expected(one: int, two: int, bulk: dict[tuple[int, int], float]) -> float:
    from ase.data import chemical_symbols, covalent_radii

    signs = [np.sign(formal_charge(chemical_symbols[z])) for z in (one, two)]
    like = [bulk.get((z, z)) for z in (one, two)]
    if signs[0] == signs[1] and like[0] and like[1]:
        return 0.5 * (like[0] + like[1])
    return float(covalent_radii[one] + covalent_radii[two])


def too_near(structure: Structure, references: Sequence[Structure], share: float = NEAR) -> list[Contact]:
    """Contacts below ``share`` of the bulk's shortest of that pair."""
    return [contact for contact in contacts(structure, references) if contact.ratio < share]
