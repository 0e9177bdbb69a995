"""Grain boundaries: two grains of a crystal at any angle about any axis."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option, lengths_of
from rhotem.battery.polycrystal import bicrystal
from rhotem.battery.specimen import HOST, Specimen
from rhotem.core.words import parse_indices
from rhotem.structure.model import Structure

#: Å from the boundary within which atoms count to it.
NEAR = 3.0


def grain_boundary(crystal: Structure, size: tuple[float, float, float], angle: float, **options: Any) -> Specimen:
    """Two grains turned by ``angle`` against each other; parameters as `rhotem.battery.polycrystal.bicrystal`."""
    made = bicrystal(crystal, size, angle, **options)
    axis = "xyz".index(options.get("normal", "x"))
    half = float(made.structure.cell[axis, axis]) / 2
    away = made.structure.positions[:, axis]
    role = np.where(np.abs(away - half * np.rint(away / half)) < NEAR, "boundary", HOST).astype(object)
    regions = [
        {"name": f"grain {i + 1}", "phase": crystal.formula, "rotation": turn.tolist()}
        for i, turn in enumerate(made.rotations)
    ]
    places = [[float(n * half) if i == axis else 0.0 for i in range(3)] for n in (0, 1)]
    defects = [{"kind": "grain boundary", "angle_deg": angle, "position_A": place} for place in places]
    return Specimen(made.structure, regions, made.grain, role, defects, [crystal], {"removed": made.removed})


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    x, y, z = lengths_of(options["size"], "size")
    axis = None if options["axis"] is None else parse_indices(options["axis"])
    zone = parse_indices(options["zone"])
    return grain_boundary(load(texts[0]), (x, y, z), options["angle"], axis=axis, normal=options["normal"], zone=zone)


BUILDER = Builder(
    "grain-boundary",
    "Two grains at an angle: tilt, twist and mixed boundaries.",
    _build,
    [
        Option("size", REQUIRED, "x,y,z", "Sides of the block in Å."),
        Option("angle", 36.87, "°", "Misorientation."),
        Option("axis", None, "u,v,w", "Axis of the misorientation; without it --zone."),
        Option("normal", "x", "x|y|z", "Normal of the boundary."),
        Option("zone", "0,0,1", "u,v,w", "Direction of the crystal along z before grains turn."),
    ],
)
