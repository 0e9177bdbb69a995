"""Nanoparticles of Wulff's shape in vacuum."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.builders.table import REQUIRED, Builder, Generator, Option, plane_of
from rhotem.battery.polycrystal import cut_grains
from rhotem.battery.specimen import HOST, Specimen
from rhotem.battery.wulff import faces_of, shape
from rhotem.core import InputError
from rhotem.structure.edits.table import number, parts
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Å below a face that counts as surface.
SURFACE = 3.0


def nanoparticle(
    crystal: Structure, energies: Mapping[tuple[int, ...], float], diameter: float, vacuum: float = 12.0
) -> Specimen:
    """A particle in vacuum with the shape of least surface energy, its composition that of the crystal.

    Faces lie at distances from the middle that are proportional to their energies. Atoms in excess at faces are taken
    out, then formula units while that lowers the energy of charged faces (`rhotem.battery.faces`).

    Parameters
    ----------
    crystal : Structure
        Neutral.
    energies : mapping
        (hkl) of the conventional cell -> surface energy, in any unit; equivalent faces follow by symmetry.
    diameter : float
        Of the sphere of the same volume, Å.
    vacuum : float
        Empty layer between images, Å.

    Raises
    ------
    InputError
        If faces enclose nothing, or lengths are out of range.
    """
    if not (np.isfinite([diameter, vacuum]).all() and diameter > 0 and vacuum > 0):
        raise InputError(f"nanoparticle: diameter {diameter}, vacuum {vacuum}; expected positive lengths in Å")
    normals, heights, names = faces_of(crystal, energies)
    vertices, volume = shape(normals, heights)
    scale = (np.pi / 6 * diameter**3 / volume) ** (1 / 3)
    extent = np.ptp(vertices, axis=0) * scale + 2.0
    size = (float(extent[0]), float(extent[1]), float(extent[2]))
    middle = np.array(size) / 2
    offset = middle - (vertices.max(axis=0) + vertices.min(axis=0)) / 2 * scale

    def below(points: Floats) -> Floats:
        return np.asarray((heights * scale - (points - offset) @ normals.T).min(axis=1))

    empty = (vacuum,) * 3
    note = f"Wulff particle of {diameter:g} Å"
    made = cut_grains(crystal, size, middle[None], np.eye(3)[None], vacuum=empty, note=note, opening=below)
    apart = heights * scale - (made.structure.positions - offset - vacuum / 2) @ normals.T
    nearest = apart.argmin(axis=1)
    surface = apart.min(axis=1) < SURFACE
    role = np.array([f"face {names[i]}" if s else HOST for i, s in zip(nearest, surface, strict=True)], dtype=object)
    shown = sorted({int(i) for i in nearest[surface]})
    defects = [
        {"kind": "face", "plane": names[i], "normal": normals[i].tolist(), "distance_A": float(heights[i] * scale)}
        for i in shown
    ]
    region = [{"name": "particle", "phase": crystal.formula}]
    extra = {"removed": made.removed, "diameter_A": diameter}
    index = np.zeros(len(made.structure), dtype=np.int64)
    return Specimen(made.structure, region, index, role, defects, [crystal], extra)


def _build(texts: list[str], load: Callable[[str], Structure], rng: Generator, **options: Any) -> Specimen:
    energies = {}
    for text in options["faces"].split():
        plane, energy = parts(text, "faces", 2)
        energies[plane_of(plane)] = number(energy)
    return nanoparticle(load(texts[0]), energies, options["diameter"], options["vacuum"])


BUILDER = Builder(
    "nanoparticle",
    "A particle of Wulff's shape in vacuum.",
    _build,
    [
        Option(
            "faces", REQUIRED, "'h,k,l:γ h,k,l:γ'", "Faces and their energies, in any unit; equivalent ones follow."
        ),
        Option("diameter", 20.0, "Å", "Of the sphere of the same volume."),
        Option("vacuum", 12.0, "Å", "Empty layer between images."),
    ],
)
