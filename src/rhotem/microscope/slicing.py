"""Where slices begin: planes of atoms belong into the middle of slices."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

if TYPE_CHECKING:
    from rhotem.structure.orient import ImagingCell

Floats = npt.NDArray[np.float64]

#: Distance in Å from the middle of its slice, root mean square of all atoms, that an image does not see.
BESIDE = 0.03
#: Thinnest slice in Å that is looked at, and how many times more planes than in the thickest slices may result.
THINNEST, MORE = 0.15, 4
#: The same where atoms lie at all heights, so that no slices of their own are theirs; Å that heights are told apart by.
DISORDERED, HEIGHT = 2, 0.002


def beside(heights: Floats, weights: Floats, step: float) -> tuple[float, float]:
    """Root mean square distance in Å of atoms from the middle of their slice, and the shift that makes it least.

    Parameters
    ----------
    heights, weights : (N,) arrays
        Å along the beam, and how much each atom counts.
    step : float
        Thickness of slices in Å.
    """
    turns = heights / step
    mean = np.angle((weights * np.exp(2j * np.pi * turns)).sum()) / (2 * np.pi)
    off = np.mod(turns - mean + 0.5, 1.0) - 0.5
    centre = float((weights * off).sum() / weights.sum())
    width = np.sqrt((weights * (off - centre) ** 2).sum() / weights.sum())
    return float(step * width), float(step * np.mod(0.5 - mean - centre, 1.0))


def slice_number(cell: "ImagingCell", thickest: float) -> int:
    """How many equal slices, none thicker than ``thickest`` Å, have planes of atoms in their middle.

    A slice acts as if its atoms lay there. Planes of silicon along [111] are 0.78 and 2.35 Å apart: slices of 1.57 Å
    put two of them 0.39 Å off, and a HAADF by 13 % of its range; slices of 0.78 Å put none off, and as waves skip empty
    slices they take the same time. Of all numbers that leave atoms `BESIDE` at most, the one with the fewest planes is
    taken; where none does, the errors, squares of distances, are weighed against planes. `MORE` times the fewest planes
    are the most, `DISORDERED` times where slices do not fit the planes.
    """
    length = float(cell.lengths[2])
    heights, where = np.unique(np.rint(cell.structure.positions[:, 2] / HEIGHT), return_inverse=True)
    heights, weights = heights * HEIGHT, np.bincount(where, _weights(cell)).astype(np.float64)
    filled = _filled(heights, length)
    fewest = max(1, int(np.ceil(length / thickest - 1e-9)))
    tried = []
    for number in range(fewest, max(fewest, int(length / min(THINNEST, thickest))) + 1):
        off, shift = beside(heights, weights, length / number)
        planes = len(np.unique(np.floor(np.mod((heights + shift) / length, 1.0) * number + 1e-6)))
        tried.append((planes, number, off))
    least = min(planes for planes, _, _ in tried)

    def allowed(planes: int, off: float) -> bool:
        fitting = off <= 0.5 * filled / planes / np.sqrt(12.0)  # atoms at all heights are 1/√12 of a slice off
        return planes <= (MORE if fitting else DISORDERED) * least

    left = [one for one in tried if allowed(one[0], one[2])]
    good = [one for one in left if one[2] <= BESIDE]
    return min(good or left, key=lambda one: (one[0] * (bool(good) or 1.0 + (one[2] / BESIDE) ** 2), one[1]))[1]


def sliced(cell: "ImagingCell", thickest: float, usual: float, slab: bool = False) -> tuple["ImagingCell", int]:
    """The imaging cell with its atoms placed for slices, and the number of slices, none thicker than ``thickest`` Å.

    Where atoms lie between the entrance and the exit surface depends on the crystal alone: both surfaces are as far
    from atoms as slices of ``usual`` Å allow, and thinner slices are odd parts of those, so that planes stay in their
    middle. They then are of one specimen.

    Parameters
    ----------
    cell : ImagingCell
    thickest, usual : float
        Å.
    slab : bool
        The cell ends in vacuum, and atoms stay on the side where they are.

    Raises
    ------
    InputError
        If ``thickest`` is no positive length.
    """
    if not (np.isfinite(thickest) and thickest > 0):
        raise InputError(f"slice thickness {thickest} Å: expected a positive length")
    number = slice_number(cell, max(thickest, usual))
    length, step = float(cell.lengths[2]), float(cell.lengths[2]) / number
    heights, weights = cell.structure.positions[:, 2], _weights(cell)
    offset = beside(heights, weights, step)[1]
    if not slab:
        starts = offset + step * np.arange(number)
        offset = float(max(starts, key=lambda start: round(_room(heights + start, length), 3)))
    fewest = int(np.ceil(step / thickest - 1e-9))
    number *= fewest + 1 - fewest % 2
    atoms = cell.structure.atoms.copy()
    atoms.positions[:, 2] += offset
    return replace(cell, structure=replace(cell.structure, atoms=atoms)), number


def off_planes(cell: "ImagingCell", slices: int) -> float:
    """Root mean square distance in Å of atoms from the middle of the slice that they are in."""
    step = float(cell.lengths[2]) / slices
    off = np.mod(cell.structure.positions[:, 2] / step, 1.0) - 0.5
    weights = _weights(cell)
    return float(step * np.sqrt((weights * off**2).sum() / weights.sum()))


def _filled(heights: Floats, length: float) -> float:
    """Å along the beam that hold atoms: the widest gap, vacuum or not, counts as much as a usual one."""
    inside = np.sort(np.mod(heights, length))
    apart = np.diff(np.append(inside, inside[0] + length))
    return length - float(apart.max()) + float(np.median(apart))


def _weights(cell: "ImagingCell") -> Floats:
    """How much each atom scatters to high angles."""
    return np.asarray(cell.structure.numbers, dtype=float) ** 1.7


def _room(heights: Floats, length: float) -> float:
    """Distance in Å of the atom nearest to a surface."""
    return float(np.abs(np.mod(heights + length / 2, length) - length / 2).min())
