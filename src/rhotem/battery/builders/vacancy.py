"""Vacancies: atoms of one element are missing."""

from collections.abc import Callable
from typing import Any

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option
from rhotem.battery.sites import NONE, REPEAT_HELP, cell_for, compared
from rhotem.battery.specimen import Specimen
from rhotem.structure import build
from rhotem.structure.model import Structure


def vacancies(
    crystal: Structure, element: str, amount: str, rng: Generator, *, repeat: str | None = None, spread: Any = "random"
) -> Specimen:
    """A crystal with vacancies.

    Parameters
    ----------
    crystal : Structure
    element : str
    amount : str
        ``3`` or ``5%`` of the element's sites; ``0`` is the perfect cell, where a series begins.
    rng : Generator
        Chooses sites.
    repeat : str, optional
        ``nx,ny,nz``.
    spread : "random", "together" or "apart"

    Raises
    ------
    InputError
        If the crystal has no such element, or not so many.
    """
    cell, count = cell_for(crystal, element, "1" if amount == NONE else amount, repeat)
    made = build.vacancy(cell, element, count, rng, spread) if amount != NONE else cell
    return compared(cell, made, {"vacancy": "vacancy", "exchange": "antisite"})


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    return vacancies(load(texts[0]), options.pop("element"), options.pop("amount"), rng, **options)


BUILDER = Builder(
    "vacancy",
    "Vacancies of an element, a number or a percentage.",
    _build,
    [
        Option("element", REQUIRED, "O", "Element that is missing."),
        Option("amount", "1", "n|n%", "How many, or a percentage of its sites; 0: none."),
        Option("repeat", None, "nx,ny,nz", REPEAT_HELP),
        Option("spread", "random", "random|together|apart", "How vacancies lie to each other."),
    ],
)
