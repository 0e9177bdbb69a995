"""Twins and symmetric tilt boundaries: a crystal and its mirror image in a lattice plane."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option, plane_of
from rhotem.battery.mirror import twinned
from rhotem.battery.specimen import HOST, Specimen
from rhotem.core import InputError
from rhotem.structure.model import Structure


def twin(crystal: Structure, plane: tuple[int, ...], thickness: float = 15.0) -> Specimen:
    """A twin: two grains of a crystal that are mirror images in a plane, which is horizontal (x, y).

    In a cubic crystal (111) is the Σ3 twin, (310) and (210) are Σ5 boundaries. The cell is periodic and has two
    boundaries; nothing is added or taken out.

    Parameters
    ----------
    crystal : Structure
    plane : three or four int
        (hkl) of the conventional cell.
    thickness : float
        Least thickness of each grain, Å.

    Raises
    ------
    InputError
        If the plane is a mirror of the crystal, or the thickness no length.
    """
    if not (np.isfinite(thickness) and thickness > 0):
        raise InputError(f"twin: thickness {thickness}; expected a positive length in Å")
    made = twinned(crystal, plane, thickness)
    indices = ",".join(map(str, plane))
    sigma = f"Σ{made.sigma}" if made.sigma else "no common lattice"
    note = (
        f"({indices}) twin of {crystal.formula}, {sigma}, {made.layers} layers of {made.spacing:.3f} Å on each side,"
        f" two boundaries, upper grain shifted by {made.shift[0]:.2f}, {made.shift[1]:.2f} Å,"
        f" {made.expansion:.2f} Å wider, not relaxed"
    )
    info = {
        "name": f"{crystal.info.get('name', crystal.formula)}-twin",
        "notes": [*crystal.info.get("notes", []), note],
    }
    regions = [{"name": name, "phase": crystal.formula} for name in ("crystal", "twin")]
    role = np.where(made.in_plane, "twin plane", HOST).astype(object)
    half = float(made.atoms.cell[2, 2]) / 2
    defects = [
        {"kind": "twin plane", "plane": list(plane), "sigma": made.sigma, "position_A": [0.0, 0.0, z]}
        for z in (0.0, half)
    ]
    charge = crystal.charge * len(made.atoms) / len(crystal)
    return Specimen(Structure(made.atoms, charge, None, info), regions, made.grain, role, defects, [crystal])


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    return twin(load(texts[0]), plane_of(options["plane"]), options["thickness"])


BUILDER = Builder(
    "twin",
    "Twins and symmetric tilt boundaries: Σ3 is (111), Σ5 is (310) of a cubic crystal.",
    _build,
    [
        Option("plane", REQUIRED, "h,k,l", "Mirror plane, indices of the conventional cell."),
        Option("thickness", 15.0, "Å", "Least thickness of each grain."),
    ],
)
