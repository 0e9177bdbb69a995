"""States of charge: mobile ions are taken out."""

from rhotem.structure.edits.substitute import replace_element
from rhotem.structure.edits.table import Chance, Edit, Generator, number, parts
from rhotem.structure.model import Structure


def deintercalate(
    structure: Structure, fraction: float, element: str | None = None, rng: Generator | None = None
) -> Structure:
    """Take out a fraction of the mobile ions: the state of charge of an electrode.

    Parameters
    ----------
    structure : Structure
        The full cell.
    fraction : float
        Of the ions removed, 0–1 (for LiCoO2, 0.5 gives Li0.5CoO2).
    element : str, optional
        Li by default, Na where there is no Li.
    rng : Generator, optional
        Remove at random from this cell. Without it the ions left are ordered by lowest electrostatic energy in the
        smallest supercell that has the composition.

    Raises
    ------
    InputError
        If the element is missing or the fraction cannot be had.
    """
    element = element or ("Li" if "Li" in structure.atoms.get_chemical_symbols() else "Na")
    return replace_element(structure, element, {}, fraction, rng)


def _apply(structure: Structure, text: str, chance: Chance) -> Structure:
    *element, fraction = parts(text, "deintercalate", (1, 2))
    return deintercalate(structure, number(fraction), element[0] if element else None, chance.sites)


EDIT = Edit("deintercalate", 20, "0.5|Li:0.5", "Fraction of Li (or Na, or the element named) to remove.", _apply)
