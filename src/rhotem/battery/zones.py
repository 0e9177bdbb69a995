"""Zone axes of a crystal in the vectors of its repeated cell: what defects and other charges leave of its names."""

from math import lcm

from rhotem.analysis.specimen import direction
from rhotem.core import InputError
from rhotem.structure.indices import coprime, standard_cell
from rhotem.structure.model import Structure


def zone_in_repeats(crystal: Structure, zone: tuple[int, ...] | None, repeats: tuple[int, int, int]) -> tuple[int, ...]:
    """Coprime indices, in the vectors of the repeated cell, of a zone axis of the crystal's conventional cell.

    Without a zone it is the one that tells the crystal's columns apart.

    Raises
    ------
    InputError
        If there are not three indices.
    """
    chosen, _ = direction(crystal, zone)
    if len(chosen) != 3:
        raise InputError(f"zone {zone}: give three indices")
    along = standard_cell(crystal).direction_to_structure(chosen)
    return tuple(int(u) for u in coprime([int(u) * lcm(*repeats) // n for u, n in zip(along, repeats, strict=True)]))
