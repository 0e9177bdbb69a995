"""The shape of a particle from the energies of its faces (G. Wulff, Z. Kristallogr. 34, 449 (1901))."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.indices import label, primitive_cell, standard_cell, symmetry, three_indices
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]


def faces_of(crystal: Structure, energies: Mapping[tuple[int, ...], float]) -> tuple[Floats, Floats, list[str]]:
    """Normals (F, 3), energies (F,) and names of all faces equivalent by symmetry to those given; with their opposites.

    Raises
    ------
    InputError
        If an energy is not positive or indices are none.
    """
    names = standard_cell(crystal)
    small, reduced = primitive_cell(crystal)
    dataset = symmetry(small)
    turns = [np.eye(3, dtype=int)] if dataset is None else [np.asarray(r) for r in dataset.rotations]
    normals: list[Floats] = []
    heights: list[float] = []
    called: list[str] = []
    seen = names.seen_from(reduced)
    for plane, energy in energies.items():
        if not (np.isfinite(energy) and energy > 0):
            raise InputError(f"surface energy {energy} of {plane}: expected a positive number")
        indices = seen.plane_to_structure(three_indices(plane, True, names.hexagonal)[0])
        for turn in [*turns, *(-t for t in turns)]:
            hkl = indices @ turn
            normal = np.linalg.inv(small.cell) @ hkl
            normal = np.asarray(normal / np.linalg.norm(normal))
            if all(normal @ other < 1 - 1e-6 for other in normals):
                normals.append(normal)
                heights.append(energy)
                called.append(label(seen.plane_from_structure(hkl), "()"))
    return np.array(normals), np.array(heights), called


def shape(normals: Floats, energies: Floats) -> tuple[Floats, float]:
    """Vertices (V, 3) of the Wulff shape whose faces lie at distances equal to their energies, and its volume.

    Raises
    ------
    InputError
        If the faces enclose nothing.
    """
    from scipy.spatial import ConvexHull, HalfspaceIntersection, QhullError

    try:
        vertices = HalfspaceIntersection(np.column_stack([normals, -energies]), np.zeros(3)).intersections
        if not np.isfinite(vertices).all() or np.abs(vertices).max() > 1e3 * energies.max():
            raise ValueError
        return vertices, float(ConvexHull(vertices).volume)
    except (QhullError, ValueError) as error:
        raise InputError("nanoparticle: these faces enclose no particle; give more of them") from error
