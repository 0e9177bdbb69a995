"""Dopants: atoms of an element are replaced by another."""

from collections.abc import Callable
from typing import Any

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option
from rhotem.battery.sites import REPEAT_HELP, cell_for, compared
from rhotem.battery.specimen import Specimen
from rhotem.core import InputError
from rhotem.structure.edits.common import chosen, edited, known_elements, sites_of_element
from rhotem.structure.edits.table import parts
from rhotem.structure.model import Structure


def dopants(
    crystal: Structure,
    elements: tuple[str, str],
    amount: str,
    rng: Generator,
    *,
    repeat: str | None = None,
    spread: Any = "random",
) -> Specimen:
    """A crystal in which atoms of ``elements[0]`` are replaced by ``elements[1]``.

    Parameters
    ----------
    crystal : Structure
    elements : (str, str)
    amount : str
        ``3``, or ``5%`` of the sites.
    rng : Generator
    repeat : str, optional
        ``nx,ny,nz``.
    spread : "random", "together" or "apart"

    Raises
    ------
    InputError
        If an element is missing or none, or there are not so many sites.
    """
    old, new = elements
    known_elements({new: 1.0})
    if old == new:
        raise InputError(f"dopant: replacing {old} by itself changes nothing; name two elements")
    cell, count = cell_for(crystal, old, amount, repeat)
    symbols = cell.atoms.get_chemical_symbols()
    for site in chosen(cell, sites_of_element(cell, old), count, rng, spread):
        symbols[int(site)] = new
    made = edited(cell, range(len(cell)), symbols, f"{count} {old} replaced by {new}")
    return compared(cell, made, {"vacancy": "vacancy", "exchange": "dopant"})


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    old, new = parts(options.pop("replace"), "replace", 2)
    return dopants(load(texts[0]), (old, new), options.pop("amount"), rng, **options)


BUILDER = Builder(
    "dopant",
    "Dopants: an element replaced by another.",
    _build,
    [
        Option("replace", REQUIRED, "Ni:Al", "Element of the crystal, and what sits there instead."),
        Option("amount", "1", "n|n%", "How many, or a percentage of the sites."),
        Option("repeat", None, "nx,ny,nz", REPEAT_HELP),
        Option("spread", "random", "random|together|apart", "How dopants lie to each other."),
    ],
)
