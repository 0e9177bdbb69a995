"""A slab is cut along a lattice plane."""

from rhotem.structure.assemble import slab
from rhotem.structure.edits.table import Chance, Edit, number, parts
from rhotem.structure.model import Structure

#: Least thickness, and empty layer beside a slab, in Å where nothing is said.
THICKNESS, VACUUM = 20.0, 15.0


def _apply(structure: Structure, text: str, chance: Chance) -> Structure:
    plane, *lengths = parts(text, "slab", (1, 2, 3))
    indices = tuple(round(number(n)) for n in parts(plane, "slab", (3, 4), ","))
    thickness, vacuum = [number(x) for x in lengths] + [THICKNESS, VACUUM][len(lengths) :]
    return slab(structure, indices, thickness, vacuum)


EDIT = Edit("slab", 70, "h,k,l[:thickness[:vacuum]]", "Cut a slab along a plane; lengths in Å.", _apply)
