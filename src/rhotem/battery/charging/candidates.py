"""Candidates of a state of charge: orderings in one cell, in the crystal's stacking and in others."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from rhotem.battery.builders.stacking import stacking
from rhotem.battery.charging.asked import Asked, mobile_ion, states_of_charge
from rhotem.battery.layered import taken_apart
from rhotem.battery.orderings import ranked
from rhotem.battery.sites import compact_cell
from rhotem.core import InputError
from rhotem.structure.build import repeated
from rhotem.structure.edits.common import edited, sites_of_element
from rhotem.structure.edits.table import EXACT, parts, whole
from rhotem.structure.model import Structure

#: Name of the stacking of the crystal as it was given.
OWN = "as given"


@dataclass(frozen=True, eq=False)
class Host:
    """The full cell of a series.

    Parameters
    ----------
    crystal : Structure
        As it was given.
    structure : Structure
        All mobile ions in, repeated.
    repeats : (int, int, int)
        Along the axes of the crystal.
    ion : str
    sites : int
        Mobile ions in the cell.
    x : tuple of float
        States of charge, from 1 down.
    """

    crystal: Structure
    structure: Structure
    repeats: tuple[int, int, int]
    ion: str
    sites: int
    x: tuple[float, ...]

    @property
    def formula_units(self) -> float:
        """Of the full crystal, in the cell."""
        return float(self.structure.atoms.symbols.formula.reduce()[1])

    def leaving(self, x: float) -> int:
        """How many ions have left at x."""
        return round((1.0 - x) * self.sites)


@dataclass(frozen=True, eq=False)
class Candidate:
    """An ordering to be relaxed: the structure, its stacking, and its rank by electrostatic energy, from 1."""

    structure: Structure
    stacking: str
    rank: int


def host_of(crystal: Structure, asked: Asked) -> Host:
    """The cell that holds every state of charge exactly.

    Raises
    ------
    InputError
        If the crystal has no mobile ion, cannot be charged so far, no cell holds the states, or
        stackings are asked for of what is no layered oxide.
    """
    ion = mobile_ion(crystal, asked.ion)
    if set(crystal.atoms.symbols) == {ion}:
        raise InputError(
            f"{crystal.formula} is nothing but {ion}; give the crystal that holds the ions, such as LiCoO2"
        )
    if asked.stackings:
        _slabs(crystal)
    x = states_of_charge(crystal, ion, asked.x)
    sites = len(sites_of_element(crystal, ion))

    def holds(copies: int) -> bool:
        ions = sites * copies
        return all(abs(value * ions - round(value * ions)) <= EXACT * ions for value in x)

    if asked.repeat is not None:
        nx, ny, nz = (whole(n) for n in parts(asked.repeat, "repeat", 3, ","))
        made, repeats = repeated(crystal, nx, ny, nz), (nx, ny, nz)
        if not holds(nx * ny * nz):
            raise InputError(
                f"--repeat {asked.repeat}: {sites * nx * ny * nz} {ion} do not hold x = {_listed(x)}; repeat more, or "
                "other x"
            )
    else:
        smallest = compact_cell(crystal, holds)
        if smallest is None:
            raise InputError(
                f"x = {_listed(x)}: no cell of up to 400 atoms holds {sites} {ion} so; give simpler shares, a third as "
                "0.33333"
            )
        made, repeats = smallest
    return Host(crystal, made, repeats, ion, sites * prod(repeats), x)


def stackings_at(host: Host, x: float, asked: Asked) -> tuple[str, ...]:
    """Stackings tried beside the crystal's own: those asked for, else O1 of the empty oxide (CoO2, NiO2)."""
    if x == 1.0:
        return ()
    if asked.stackings is not None:
        return asked.stackings
    return ("O1",) if x == 0.0 and host.ion == "Li" and is_layered(host.crystal) else ()


def candidates(host: Host, full: Structure, x: float, asked: Asked) -> Iterator[Candidate]:
    """Orderings of lowest electrostatic energy at x in ``full``, the relaxed full cell, then in other stackings."""
    yield from _ordered(host, full, x, asked, OWN)
    for name in stackings_at(host, x, asked):
        crystal, rng = full_crystal(host, full), np.random.default_rng(asked.seed)
        layers = host.repeats[2] * _slabs(crystal)
        made = stacking(crystal, name, rng, layers=layers, across=host.repeats[:2])
        yield from _ordered(host, made.structure, x, asked, name)


def full_crystal(host: Host, full: Structure) -> Structure:
    """One cell of the crystal, with the lattice and places of the relaxed full one."""
    cell = full.cell / np.array(host.repeats)[:, None]
    atoms = full.atoms[: len(host.crystal)].copy()  # ase repeats whole cells one after another
    atoms.set_cell(cell)
    return Structure(atoms, info=host.crystal.info)


def _ordered(host: Host, full: Structure, x: float, asked: Asked, name: str) -> Iterator[Candidate]:
    rng = np.random.default_rng(asked.seed)
    symbols = full.atoms.get_chemical_symbols()
    for rank, ordering in enumerate(ranked(full, host.ion, host.leaving(x), rng, most=asked.orderings), start=1):
        stay = np.setdiff1d(np.arange(len(full)), ordering.leaving)
        made = edited(full, stay.tolist(), [symbols[i] for i in stay], f"{len(ordering.leaving)} {host.ion} taken out")
        yield Candidate(made, name, rank)


def is_layered(crystal: Structure) -> bool:
    """Whether it is a layered oxide whose first two axes lie in the slabs."""
    try:
        _slabs(crystal)
    except InputError:
        return False
    return True


def other_axes(crystal: Structure) -> bool:
    """Whether it is a layered oxide whose first two axes do not lie in the slabs, as of a primitive cell."""
    try:
        taken_apart(crystal)
    except InputError:
        return False
    return not is_layered(crystal)


def _slabs(crystal: Structure) -> int:
    """Slabs that one cell holds along its third axis.

    Raises
    ------
    InputError
        If the first two axes are not those of the slabs.
    """
    apart = taken_apart(crystal)
    count = len(crystal) * len(apart.slabs) / sum(len(sheet.symbols) for sheet in (*apart.slabs, *apart.gaps))
    area = np.linalg.norm(np.cross(crystal.cell[0], crystal.cell[1]))
    if abs(count - round(count)) > 1e-6 or abs(area / abs(np.linalg.det(apart.plane)) - 1) > 0.02:
        raise InputError(
            f"stackings: the axes of {crystal.formula} are not those of its slabs; start from the hexagonal cell"
        )
    return round(count)


def _listed(x: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in x)
