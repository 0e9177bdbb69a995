"""Orderings of mobile ions and vacancies, ranked by the electrostatic energy of formal charges."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.potentials import potential_calculator
from rhotem.core import InputError
from rhotem.core.units import EPS0
from rhotem.structure.edits.common import sites_of_element
from rhotem.structure.model import Structure
from rhotem.structure.ordering import ewald_matrix, formal_charge

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Orderings that are all looked at; more are sampled, by descents from so many starts.
ALL, STARTS = 20_000, 60
#: eV: orderings this near in energy are images of each other.
SAME = 1e-5
#: Elements that give electrons when mobile ions leave, and the highest valence they reach.
HIGHEST = {
    "Ti": 4, "V": 5, "Cr": 6, "Mn": 4, "Fe": 4, "Co": 4, "Ni": 4, "Cu": 3, "Nb": 5, "Mo": 6, "W": 6, "Ru": 6, "Ir": 6,
    "C": 4, "Sn": 4, "Ce": 4,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Ordering:
    """Mobile ions that leave (indices of atoms), and the electrostatic energy of what stays, eV per cell."""

    leaving: Ints
    energy: float


def ranked(structure: Structure, element: str, count: int, rng: np.random.Generator, most: int = 10) -> list[Ordering]:
    """Orderings in which ``count`` atoms of an element leave, lowest electrostatic energy first, images left out.

    Formal charges; transition metals share the charge that leaves. All orderings are compared where there are at most
    20,000, else descents from random starts by exchange of an ion and a vacancy.

    Parameters
    ----------
    structure : Structure
        The full cell.
    element : str
    count : int
        How many leave.
    rng : Generator
        Starts of descents.
    most : int
        Orderings returned.

    Raises
    ------
    InputError
        If the element is missing or there are not so many.
    """
    sites = sites_of_element(structure, element)
    if not 0 <= count <= len(sites):
        raise InputError(f"{count} {element} to leave; there are {len(sites)}")
    charges = np.array([formal_charge(symbol) for symbol in structure.atoms.symbols])
    ion = float(charges[sites[0]])
    others = (charges > 0) & (structure.numbers != structure.numbers[sites[0]])
    givers = others & np.isin(structure.atoms.get_chemical_symbols(), list(HIGHEST))
    hosts = np.flatnonzero(givers if givers.any() else others)
    fixed = charges.copy()
    fixed[sites] = 0.0
    total = fixed.sum() + ion * (len(sites) - count)
    if len(hosts):
        fixed[hosts] -= total * fixed[hosts] / fixed[hosts].sum()
    matrix = ewald_matrix(structure.cell, structure.atoms.get_scaled_positions()) / (4 * np.pi * EPS0)
    constant, field = 0.5 * fixed @ matrix @ fixed, ion * (matrix @ fixed)[sites]
    inner = ion**2 * matrix[np.ix_(sites, sites)]
    if comb(len(sites), count) <= ALL:
        stays = [np.setdiff1d(np.arange(len(sites)), gone) for gone in combinations(range(len(sites)), count)]
    else:
        stays = [_descended(field, inner, rng.permutation(len(sites))[count:]) for _ in range(STARTS)]
    energies = np.array([constant + field[s].sum() + 0.5 * inner[np.ix_(s, s)].sum() for s in stays])
    found: list[Ordering] = []
    for index in np.argsort(energies, kind="stable"):
        if not found or energies[index] - found[-1].energy > SAME:
            found.append(Ordering(np.delete(sites, stays[index]), float(energies[index])))
        if len(found) == most:
            break
    return found


def by_potential(structure: Structure, orderings: Sequence[Ordering], calculator: Any = None) -> list[Ordering]:
    """Orderings by the energy of a potential (SevenNet-0 unless given) at the places of the full crystal, lowest first.

    Raises
    ------
    MissingDependencyError
        If the potential is not installed.
    """
    calculator = calculator or potential_calculator()
    result = []
    for ordering in orderings:
        atoms = structure.atoms[np.setdiff1d(np.arange(len(structure)), ordering.leaving)]
        atoms.calc = calculator
        result.append(Ordering(ordering.leaving, float(atoms.get_potential_energy())))
    return sorted(result, key=lambda ordering: ordering.energy)


def _descended(field: Floats, inner: Floats, stay: Ints) -> Ints:
    """Exchange ions and vacancies, always the pair that gains most, until none gains."""
    present = np.zeros(len(field), dtype=bool)
    present[stay] = True
    while True:
        potential = field + inner @ present
        ions, holes = np.flatnonzero(present), np.flatnonzero(~present)
        if not len(ions) or not len(holes):
            return ions
        self_term = 0.5 * np.diag(inner)
        gain = (potential[holes] + self_term[holes])[None] - (potential[ions] - self_term[ions])[:, None]
        gain = gain - inner[np.ix_(ions, holes)]
        one, two = np.unravel_index(int(np.argmin(gain)), gain.shape)
        if gain[one, two] > -1e-9:
            return ions
        present[ions[one]], present[holes[two]] = False, True


def check_oxidation(structure: Structure, element: str, count: float) -> str:
    """What the metals' mean valence becomes when ``count`` mobile ions leave, in words.

    Raises
    ------
    InputError
        If nothing in the crystal can give the electrons.
    """
    symbols = structure.atoms.get_chemical_symbols()
    givers = [s for s in symbols if s in HIGHEST and not (s == "C" and "O" in symbols)]
    rest = [s for s in symbols if s not in givers]
    needed = -(sum(formal_charge(s) for s in rest) - count * formal_charge(element)) + structure.charge
    most = sum(HIGHEST[s] for s in givers)
    kinds = _listed(dict.fromkeys(givers))
    if needed > most + 1e-6:
        reason = (
            f"{kinds} would need a mean valence of {needed / len(givers):.2f}" if givers else "nothing gives electrons"
        )
        raise InputError(
            f"{count:g} of {symbols.count(element)} {element} cannot leave {structure.formula}: {reason}; take out less"
        )
    return f"mean valence of {kinds} {needed / len(givers):.2f}" if givers else ""


def _listed(names: Sequence[str] | dict[str, None]) -> str:
    return ", ".join(names)
