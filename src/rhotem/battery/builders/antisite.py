"""Antisites: atoms of two elements have exchanged places, as Li and Ni do in layered oxides."""

from collections.abc import Callable
from typing import Any

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option
from rhotem.battery.sites import NONE, REPEAT_HELP, cell_for, compared
from rhotem.battery.specimen import Specimen
from rhotem.structure import build
from rhotem.structure.edits.table import parts
from rhotem.structure.model import Structure


def antisites(
    crystal: Structure,
    elements: tuple[str, str],
    amount: str,
    rng: Generator,
    *,
    repeat: str | None = None,
    spread: Any = "random",
) -> Specimen:
    """A crystal with antisite pairs; the composition stays.

    Parameters
    ----------
    crystal : Structure
    elements : (str, str)
        The first of each pair is chosen by chance; the second is its nearest neighbour of the other element.
    amount : str
        Pairs: ``3``, or ``5%`` of the sites of the first element; ``0`` is the perfect cell, where a series begins.
    rng : Generator
    repeat : str, optional
        ``nx,ny,nz``.
    spread : "random", "together" or "apart"

    Raises
    ------
    InputError
        If an element is missing, or there are not so many pairs.
    """
    cell, count = cell_for(crystal, elements[0], "1" if amount == NONE else amount, repeat)
    made = build.antisite(cell, *elements, count, rng, spread) if amount != NONE else cell
    return compared(cell, made, {"vacancy": "vacancy", "exchange": "antisite"})


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    one, two = parts(options.pop("pair"), "pair", 2)
    return antisites(load(texts[0]), (one, two), options.pop("amount"), rng, **options)


BUILDER = Builder(
    "antisite",
    "Antisites and cation mixing: pairs of neighbours that exchange places.",
    _build,
    [
        Option("pair", REQUIRED, "Li:Ni", "The two elements."),
        Option("amount", "1", "n|n%", "Pairs, or a percentage of the first element's sites; 0: none."),
        Option("repeat", None, "nx,ny,nz", REPEAT_HELP),
        Option("spread", "random", "random|together|apart", "How pairs lie to each other."),
    ],
)
