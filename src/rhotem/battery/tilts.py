"""Symmetric tilt boundaries that are periodic: angles at which both grains have a lattice vector along them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Lattice vectors of equal length and opposite angle agree to this, in Å.
SAME = 1e-4


@dataclass(frozen=True)
class TiltPeriod:
    """Misorientation in degrees and shortest period of the boundary in Å."""

    misorientation: float
    period: float


def tilt_periods(vectors: Floats, along: int, longest: float) -> list[TiltPeriod]:
    """Periodic symmetric tilt boundaries about z, by misorientation from 0 to 180°.

    Grains turned by ±θ/2 both have the period L along an axis if the crystal has lattice vectors of length L at the
    angles ±θ/2 from that axis (across z).

    Parameters
    ----------
    vectors : (3, 3) array
        Primitive lattice vectors in Å before grains are turned, rows.
    along : 0 or 1
        Axis that lies in the boundary.
    longest : float
        Largest period in Å.
    """
    from scipy.spatial import cKDTree

    most = np.ceil(longest * np.linalg.norm(np.linalg.inv(vectors), axis=0)).astype(int)
    n = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    v = n @ vectors
    length = np.linalg.norm(v, axis=1)
    v = v[(np.abs(v[:, 2]) < SAME) & (length > SAME) & (length <= longest + SAME)]
    flat = v[:, [along, 1 - along]]
    if not len(flat):
        return []
    has_mirror = cKDTree(flat).query(flat * [1.0, -1.0])[0] < SAME
    found: list[TiltPeriod] = []
    for ahead, aside in sorted(flat[has_mirror & (flat[:, 1] > -SAME)].tolist(), key=lambda own: float(np.hypot(*own))):
        angle = 2.0 * float(np.rad2deg(np.arctan2(max(aside, 0.0), ahead)))
        if angle < 180.0 + 1e-9 and all(abs(other.misorientation - angle) > 1e-3 for other in found):
            found.append(TiltPeriod(angle, float(np.hypot(ahead, aside))))
    return sorted(found, key=lambda tilt: tilt.misorientation)
