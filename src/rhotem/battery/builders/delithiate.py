"""States of charge: mobile ions leave, at random or in an ordering of low energy."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option
from rhotem.battery.orderings import by_potential, check_oxidation, ranked
from rhotem.battery.sites import REPEAT_HELP, cell_for, compared
from rhotem.battery.specimen import Specimen
from rhotem.core import InputError
from rhotem.structure.edits.common import edited, sites_of_element
from rhotem.structure.model import Structure

#: Mobile ions, the first that a crystal has.
MOBILE = ("Li", "Na", "K")


def delithiated(
    crystal: Structure,
    amount: str,
    rng: Generator,
    *,
    element: str | None = None,
    rank: int = 1,
    by: str = "energy",
    repeat: str | None = None,
) -> Specimen:
    """A crystal from which mobile ions have left; its cell and axes stay.

    Parameters
    ----------
    crystal : Structure
    amount : str
        ``3`` or ``50%`` of the ions leave.
    rng : Generator
    element : str, optional
        Li, else Na, else K.
    rank : int
        1: the ordering of lowest electrostatic energy, 2: the next, …
    by : "energy", "potential" or "random"
        "potential" ranks the ten orderings of lowest electrostatic energy by SevenNet, unrelaxed.
    repeat : str, optional
        ``nx,ny,nz``.

    Raises
    ------
    InputError
        If the crystal has no such ions, or not so many orderings, or nothing in it can give the electrons.
    """
    element = element or next((e for e in MOBILE if e in crystal.atoms.symbols), MOBILE[0])
    if by not in ("energy", "potential", "random") or rank < 1:
        raise InputError(f"delithiate: by {by!r}, rank {rank}; expected energy, potential or random, and 1 or more")
    cell, count = cell_for(crystal, element, amount, repeat)
    valence = check_oxidation(cell, element, count)
    extra: dict[str, Any] = {}
    if by == "random":
        leaving = rng.permutation(sites_of_element(cell, element))[:count]
    else:
        orderings = ranked(cell, element, count, rng, most=max(10, rank))
        if by == "potential":
            orderings = by_potential(cell, orderings)
        if rank > len(orderings):
            raise InputError(f"delithiate: rank {rank}; there are {len(orderings)} different orderings")
        leaving = orderings[rank - 1].leaving
        extra["orderings_eV"] = [o.energy - orderings[0].energy for o in orderings]
    stay = np.setdiff1d(np.arange(len(cell)), leaving)
    symbols = cell.atoms.get_chemical_symbols()
    judge = {"energy": "electrostatic energy", "potential": "SevenNet"}.get(by)
    chosen = f"ordering {rank} by {judge}" if judge else "at random"
    note = f"{count} of {len(sites_of_element(cell, element))} {element} taken out, {chosen}" + (
        f"; {valence}" if valence else ""
    )
    made = edited(cell, stay.tolist(), [symbols[i] for i in stay], note)
    specimen = compared(cell, made, {"vacancy": "vacancy", "exchange": "antisite"})
    return Specimen(
        specimen.structure, specimen.regions, specimen.region, specimen.role, specimen.defects, [crystal], extra
    )


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    return delithiated(load(texts[0]), options.pop("amount"), rng, **options)


BUILDER = Builder(
    "delithiate",
    "States of charge: Li (or Na) leaves, ordered by energy or at random.",
    _build,
    [
        Option("amount", REQUIRED, "n|n%", "How many ions leave, or a percentage of them."),
        Option("element", None, "Li", "The mobile ion; Li, else Na."),
        Option(
            "by",
            "energy",
            "energy|potential|random",
            "Lowest electrostatic energy, of these SevenNet's, or chance.",
        ),
        Option("rank", 1, "N", "1: the ordering of lowest energy, 2: the next."),
        Option("repeat", None, "nx,ny,nz", REPEAT_HELP),
    ],
)
