"""Profiles along a lattice vector: deformation density and potential, averaged over planes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.density.field import DensityField
from rhotem.density.fourier import coefficients
from rhotem.potential.slab import planar_average
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Å between points, and 1/Å up to which waves count.
STEP, G_MAX = 0.05, 8.0
AXES = ("a", "b", "c")


@dataclass(frozen=True, eq=False)
class Profile:
    """Averages over planes that the other two vectors span, along their normal.

    Parameters
    ----------
    height : (M,) array
        Å along the normal, from the origin of the cell.
    density : (M,) array
        Deformation density in e/Å: electrons gained per length over the whole cross-section, smoothed.
    gained : (M,) array
        Its integral from 0 in e; ends at the cell's charge with the other sign.
    potential : (M,) array
        Electrostatic potential in V, smoothed; its zero is that of the cell's mean inner potential of free atoms.
    potential_error : (M,) array or None
        Spread between the members of the density, each with its mean taken off; None where the source has none.
    """

    height: Floats
    density: Floats
    gained: Floats
    potential: Floats
    potential_error: Floats | None = None


def axis_number(axis: str) -> int:
    """0, 1, 2 of a, b, c.

    Raises
    ------
    InputError
        If it is none of them.
    """
    if axis not in AXES:
        raise InputError(f"--axis {axis}: expected a, b or c, the vector across the layers")
    return AXES.index(axis)


def heights(structure: Structure, axis: int) -> tuple[Floats, float]:
    """Points along the normal of the other two vectors in Å, and the period."""
    period = float(structure.heights[axis])
    number = max(64, int(np.ceil(period / STEP)))
    return np.arange(number) * period / number, period


def profile(
    structure: Structure, field: DensityField, axis: int, smoothing: float, members: Sequence[DensityField] = ()
) -> Profile:
    """Planar averages of a deformation density and of the potential it belongs to.

    Parameters
    ----------
    structure : Structure
    field : DensityField
        Deformation density.
    axis : int
        Lattice vector across the planes.
    smoothing : float
        σ in Å of the Gaussian that averages are folded with; layers show below 0.5, interfaces alone above a layer's
        thickness.
    members : sequence of DensityField
        Densities whose spread is the error.

    Raises
    ------
    InputError
        If ``smoothing`` is negative.
    """
    if not (np.isfinite(smoothing) and smoothing >= 0):
        raise InputError(f"--smooth {smoothing}: expected a length in Å, 0 or more")
    height, period = heights(structure, axis)
    largest = int(np.ceil(G_MAX * period))
    h = np.zeros((2 * largest + 1, 3), dtype=np.int64)
    h[:, axis] = m = np.arange(-largest, largest + 1)
    damped = coefficients(field, h) * np.exp(-2.0 * (np.pi * m / period * smoothing) ** 2) * structure.volume / period
    waves = np.exp(2j * np.pi * np.outer(height / period, m))
    density = (waves @ damped).real
    nonzero = m != 0
    rising = damped[nonzero] * period / (2j * np.pi * m[nonzero])
    gained = ((waves[:, nonzero] - 1.0) @ rising).real + damped[~nonzero].real * height
    potential = planar_average(structure, field, axis, height, smoothing=smoothing)
    error = None
    if len(members) > 1:
        shown = np.array([planar_average(structure, one, axis, height, smoothing=smoothing) for one in members])
        error = (shown - shown.mean(axis=1, keepdims=True)).std(axis=0, ddof=1)
    return Profile(height, density, gained, potential, error)
