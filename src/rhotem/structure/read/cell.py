"""Cells from sides and angles, refused where they enclose nothing."""

from collections.abc import Sequence

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Floats

#: Volume over the product of the sides: below it vectors lie in a plane. Stackings of hundreds of layers are above it.
FLAT = 1e-6


def cell_of(parameters: Sequence[float], name: str) -> Floats:
    """Lattice vectors (rows) of three sides, in the unit of the result, and three angles in degrees; a along x.

    Raises
    ------
    InputError
        Sides that are not positive, and angles that no cell has: between 0° and 180°, their sum below 360° and each
        below the sum of the others.
    """
    import ase.cell

    values = np.asarray(parameters, dtype=np.float64)
    if values.shape != (6,) or not np.isfinite(values).all() or values[:3].min() <= 0:
        listed = ", ".join(f"{value:g}" for value in values.ravel()[:6])
        raise InputError(f"{name}: a cell of {listed}, expected three positive lengths and three angles in degrees")
    angles = values[3:]
    total = angles.sum()
    if angles.min() <= 0 or angles.max() >= 180 or total >= 360 or (2 * angles >= total).any():
        listed = ", ".join(f"{angle:g}°" for angle in angles)
        raise InputError(
            f"{name}: angles {listed} make no cell: each is below 180° and below the sum of the others, all below 360°"
        )
    c = np.cos(np.radians(angles))
    if 1 + 2 * c.prod() - c @ c < FLAT**2:  # ASE asserts that there is a height
        raise InputError(_flat(name, values))
    return np.asarray(ase.cell.Cell.fromcellpar(values).array)


def check_volume(cell: Floats, name: str) -> None:
    """Refuse three vectors that lie in a plane; cells with fewer vectors are left to others.

    Raises
    ------
    InputError
    """
    sides = np.linalg.norm(cell, axis=1)
    if not np.isfinite(sides).all() or sides.min() < FLAT:
        return
    volume = abs(np.linalg.det(cell / sides[:, None]))
    if volume < FLAT:
        unit = cell / sides[:, None]
        cosines = [unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]
        raise InputError(_flat(name, np.append(sides, np.degrees(np.arccos(np.clip(cosines, -1, 1))))))


def _flat(name: str, values: Floats) -> str:
    sides, angles = (
        ", ".join(f"{value:.6g}{unit}" for value in part) for part, unit in ((values[:3], ""), (values[3:], "°"))
    )
    return f"{name}: its cell has no volume, sides {sides}, angles {angles}: the vectors lie in a plane; correct them"
