"""How grains stand in a block: zone axes, whole repeats, tilt boundaries with a period."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.battery.tilts import tilt_periods
from rhotem.core import InputError
from rhotem.structure.indices import primitive_cell, standard_cell, three_indices
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]
Triple = tuple[float, float, float]

#: A misorientation within this (degrees) of one whose boundary has a period is that one.
SAME_ANGLE = 0.02


def grain_frame(crystal: Structure, zone: Sequence[int], up: Sequence[int] | None) -> tuple[Floats, float]:
    """Rotation that brings the zone axis to −z and ``up`` towards −y, and the crystal's repeat along z in Å."""
    names = standard_cell(crystal)
    z = -direction_in(crystal, zone)
    z /= np.linalg.norm(z)
    ways = [direction_in(crystal, up)] if up is not None else [names.cell[2], names.cell[1]]
    for way in ways:
        y = way - (way @ z) * z
        if np.linalg.norm(y) > 1e-3 * np.linalg.norm(way):
            break
    else:
        raise InputError(f"upward direction {list(up or ())} is along the zone axis; give one across it")
    y /= -np.linalg.norm(y)
    small, reduced = primitive_cell(crystal)
    indices, _ = three_indices(zone, False, names.hexagonal)
    along = names.seen_from(reduced).direction_to_structure(indices)
    return np.stack([np.cross(y, z), y, z]), float(np.linalg.norm(along @ small.cell))


def periodic_tilt(lattice: Floats, size: Triple, misorientation: float, along: int) -> tuple[Triple, float, str]:
    """Size with a side of whole periods of a tilt boundary, its exact angle, and a remark."""
    tilts = tilt_periods(lattice, along, 1.2 * size[along])
    axis = "xyz"[along]
    if not tilts:
        return size, misorientation, f"; grains meet themselves across {axis}"
    tilt = min(tilts, key=lambda t: abs(t.misorientation - abs(misorientation)))
    if abs(tilt.misorientation - abs(misorientation)) > SAME_ANGLE:
        near = f"{tilt.misorientation:.4f}° with a side of {tilt.period:.3f} Å or a multiple does not"
        return size, misorientation, f"; grains meet themselves across {axis} ({near})"
    sides = [whole_repeats(side, tilt.period) if i == along else side for i, side in enumerate(size)]
    angle = float(np.copysign(tilt.misorientation, misorientation))
    return (sides[0], sides[1], sides[2]), angle, f", period {tilt.period:.3f} Å along {axis}"


def whole_repeats(side: float, period: float) -> float:
    """The whole multiple of a period that is nearest to a side, at least one."""
    return max(1, round(side / period)) * period


def direction_in(crystal: Structure, uvw: Sequence[int]) -> Floats:
    """Cartesian vector of a direction [uvw] of the conventional standard cell."""
    names = standard_cell(crystal)
    indices, _ = three_indices(uvw, False, names.hexagonal)
    return np.asarray(indices @ names.cell, dtype=float)
