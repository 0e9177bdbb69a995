"""What an edit of a structure is, and the reading of its values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rhotem.core import InputError
from rhotem.structure.model import Structure

Generator = np.random.Generator

#: A share of sites may differ from the one asked for by this: 33.3 % is one of three.
EXACT = 5e-4


@dataclass(frozen=True)
class Chance:
    """What is random in an edit.

    Parameters
    ----------
    rng : Generator
        For displacements.
    sites : Generator or None
        Chooses among sites; None: those of lowest energy, or nearest to the middle of the cell.
    """

    rng: Generator
    sites: Generator | None = None


@dataclass(frozen=True)
class Edit:
    """One way of changing a structure: ``--name`` of `rhotem structure build` and an entry of ``edits`` of a recipe.

    Parameters
    ----------
    name : str
    order : int
        Edits of one command or recipe are made in this order.
    values : str
        How values are written, for help and refusals: ``Li:Ni[:n]``.
    help : str
        One line.
    apply : callable
        The structure, the text of the values, and what is random -> the changed structure.
    """

    name: str
    order: int
    values: str
    help: str
    apply: Callable[[Structure, str, Chance], Structure]


def parts(text: str, name: str, number: int | tuple[int, ...], separator: str = ":") -> list[str]:
    """The values of an edit.

    Raises
    ------
    InputError
        If there are not as many as expected.
    """
    pieces = [piece.strip() for piece in text.split(separator)]
    allowed = (number,) if isinstance(number, int) else number
    if len(pieces) not in allowed or not all(pieces):
        wanted = " or ".join(str(n) for n in allowed)
        raise InputError(f"--{name} {text}: expected {wanted} values separated by '{separator}'")
    return pieces


def number(text: str) -> float:
    """A number.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a number") from error


def whole(text: str) -> int:
    """A positive whole number.

    Raises
    ------
    InputError
        If it is none.
    """
    if not text.isdigit() or int(text) < 1:
        raise InputError(f"{text!r} is not a positive whole number")
    return int(text)


def amount(text: str, sites: int, what: str) -> int:
    """How many of ``sites`` a value says: ``3``, or ``5%``, which must be a whole number of them.

    Raises
    ------
    InputError
        If it is no count or percentage, or not a whole number.
    """
    if not text.endswith("%"):
        return whole(text)
    share = number(text[:-1]) / 100.0
    wanted = share * sites
    if not (np.isfinite(share) and 0 < share <= 1):
        raise InputError(f"{text} of {what}: expected a percentage above 0 and up to 100")
    if abs(wanted - round(wanted)) > EXACT * sites or round(wanted) < 1:
        raise InputError(f"{text} of {sites} {what} is {wanted:.4g} atoms; repeat the cell to hold a whole number")
    return round(wanted)
