"""Which slice an atom belongs to: that of its site, so that slices without atoms stay empty and waves skip them."""

import numpy as np
import numpy.typing as npt

#: Å; an atom displaced farther along the beam than atoms vibrate belongs to the plane that it has come to.
FAR = 0.4
#: Å; what bonding charge leaves in an empty slice goes to planes not farther away than this.
NEAR = 2.0


def planes_of(
    heights: npt.NDArray[np.float64],
    length: float,
    slices: int,
    along: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.int64]:
    """Slice (N,) of every atom.

    Parameters
    ----------
    heights : (N,) array
        Sites along the beam in Å, in a cell of ``length`` Å with so many ``slices``.
    along : (N,) array or None
        Displacements along the beam in Å.
    """
    step = length / slices
    own = np.minimum((np.mod(heights, length) / step).astype(np.int64), slices - 1)
    far = np.zeros(len(own), dtype=bool) if along is None else np.abs(along) > FAR
    if along is None or not far.any():
        return own
    planes = np.unique(own)
    at = np.mod(heights[far] + along[far], length)
    own[far] = planes[np.abs((planes + 0.5) * step - at[:, None]).argmin(axis=1)]
    return own


def gather(array: npt.NDArray, planes: npt.NDArray[np.int64], thickness: float) -> None:
    """Give what slices (S, …) without atoms hold to the planes before and behind, the nearer the more; in place.

    Bonding charge is smooth: at the angles to which it scatters a wave does not change on the way to the next plane.
    """
    planes = np.unique(planes)
    for s in np.setdiff1d(np.arange(len(array)), planes):
        behind = int(np.searchsorted(planes, s))
        beside = planes[max(0, behind - 1) : behind + 1]
        apart = np.abs(beside - s).astype(float)
        if apart.min() * thickness > NEAR:
            continue
        shares = 1.0 - apart / apart.sum() if len(beside) == 2 else np.ones(1)
        for plane, share in zip(beside, shares, strict=True):
            array[plane] += array.dtype.type(share) * array[s]
        array[s] = 0
