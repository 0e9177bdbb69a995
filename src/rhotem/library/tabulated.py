"""Images of a response over its thicknesses and some foci: what an entry is described by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.scattering.response import Response


@dataclass(frozen=True, eq=False)
class Tabulated:
    """Images of a response at every thickness and focus, but components of vectors.

    Parameters
    ----------
    held : Response
    settings : list of (float, float)
        Thickness and focus in nm.
    images : dict
        By name, (settings, nx, ny).
    """

    held: Response
    settings: list[tuple[float, float]]
    images: dict[str, npt.NDArray[np.float32]]

    @classmethod
    def of(cls, held: Response, foci: Sequence[float]) -> "Tabulated":
        """All thicknesses of a response at ``foci`` in nm."""
        settings = [(0.1 * t, f) for t in held.thicknesses for f in foci]
        stack = held.series(
            thickness=[10.0 * t for t, _ in settings], defocus=[10.0 * f for _, f in settings], threads=1
        )
        return cls(held, settings, {name: one for name, one in stack.items() if not name.endswith(("x", "y"))})
