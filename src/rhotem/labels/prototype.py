"""What a prototype structure is: a space group, a lattice, an asymmetric unit."""

from dataclasses import dataclass

Site = tuple[str, float, float, float]
Cell = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class Prototype:
    """A crystal by its asymmetric unit.

    Parameters
    ----------
    group : int
        Space group number, first setting; hexagonal axes for rhombohedral groups; origin choice ``setting``.
    cell : tuple
        a, b, c (Å), α, β, γ (degrees).
    sites : tuple of (label, x, y, z)
        The label is the element of the reference compound.
    family : str
        Chemistry: olivine, phosphate, spinel, layered, rocksalt, graphite, metal, SEI, silicon, oxide, fluoride …
    setting : int
        Origin choice of the International Tables.
    """

    group: int
    cell: Cell
    sites: tuple[Site, ...]
    family: str
    setting: int = 1


def cubic(a: float) -> Cell:
    """A = b = c."""
    return (a, a, a, 90, 90, 90)


def hexagonal(a: float, c: float) -> Cell:
    """A = b, 120° between them."""
    return (a, a, c, 90, 90, 120)


def box(a: float, b: float, c: float, beta: float = 90) -> Cell:
    """Orthorhombic, or monoclinic with b unique."""
    return (a, b, c, 90, beta, 90)
