"""Slabs with vacuum."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option, plane_of
from rhotem.battery.specimen import HOST, Specimen
from rhotem.structure.assemble import slab as cut
from rhotem.structure.model import Structure

#: Å below the outermost atoms that count as surface.
SURFACE = 2.5


def slab(crystal: Structure, plane: tuple[int, ...], thickness: float = 20.0, vacuum: float = 15.0) -> Specimen:
    """A slab (`rhotem.structure.assemble.slab`), its surface atoms named."""
    structure = cut(crystal, plane, thickness, vacuum)
    made = Specimen.of(structure, crystal)
    z = structure.positions[:, 2]
    top, bottom = z.max() - z < SURFACE, z - z.min() < SURFACE
    role = np.where(top, "upper surface", np.where(bottom, "lower surface", HOST)).astype(object)
    faces = [{"kind": "surface", "plane": list(plane), "position_A": [0.0, 0.0, float(h)]} for h in (z.min(), z.max())]
    extra = {"polar": structure.info["polar"]}
    return Specimen(structure, made.regions, made.region, role, faces, [crystal], extra)


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    return slab(load(texts[0]), plane_of(options["plane"]), options["thickness"], options["vacuum"])


BUILDER = Builder(
    "slab",
    "A slab cut along a plane, the cut of least dipole.",
    _build,
    [
        Option("plane", REQUIRED, "h,k,l", "Surface, indices of the conventional cell."),
        Option("thickness", 20.0, "Å", "Least thickness."),
        Option("vacuum", 15.0, "Å", "Empty layer."),
    ],
)
