"""Empty space in a cell: slabs."""

import numpy as np

from rhotem.structure.model import Structure

#: Least gap in Å between atomic planes that counts as vacuum, everywhere in RhoTEM; layered crystals stay below.
VACUUM = 7.0


def widest_gap(structure: Structure, axis: int) -> tuple[float, float, float]:
    """The widest gap between atomic planes across a lattice vector.

    Parameters
    ----------
    structure : Structure
    axis : int
        Lattice vector across the planes, which are spanned by the other two.

    Returns
    -------
    start, width, period : float
        In Å along the normal of the planes: height of the last plane before the gap, counted from the cell's origin;
        width of the gap; height of the cell.
    """
    period = float(structure.heights[axis])
    planes = np.sort(np.mod(structure.atoms.get_scaled_positions(wrap=False)[:, axis], 1.0))
    gaps = np.diff(np.append(planes, planes[0] + 1.0))
    widest = int(gaps.argmax())
    return float(planes[widest]) * period, float(gaps[widest]) * period, period


def find_vacuum(structure: Structure, least: float = VACUUM) -> tuple[int, float, float] | None:
    """Axis, centre and width (Å along the normal) of the widest gap between atomic planes; None below ``least``."""
    found = None
    for axis in range(3):
        start, width, period = widest_gap(structure, axis)
        if width >= least and (found is None or width > found[2]):
            found = (axis, float(np.mod(start + width / 2.0, period)), width)
    return found
