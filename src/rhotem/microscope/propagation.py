"""What one propagation costs that answers for many settings: the common part of the plans of what is kept of it."""

from dataclasses import asdict, dataclass
from typing import Any

#: Bytes that a run takes whatever its size: Python and its libraries, compiled loops, tables of free atoms.
BASE = 2.0e8


@dataclass(frozen=True, kw_only=True)
class Propagation:
    """Sizes, memory and time.

    Parameters
    ----------
    extent, shape : pairs
        Lateral cell in Å, and the grid of the waves on it.
    slices, slice_thickness : int, float
    tiling : (int, int)
        The probe's supercell in cells of the potential.
    beams : int
        Of the largest aperture.
    exits : int
        Thicknesses that are kept.
    configurations : int
    stored, memory, seconds : float
        Bytes of the result; of everything; seconds on ``threads`` cores.
    """

    extent: tuple[float, float]
    shape: tuple[int, int]
    slices: int
    slice_thickness: float
    tiling: tuple[int, int]
    beams: int
    exits: int
    configurations: int
    stored: float
    memory: float
    seconds: float
    threads: int

    @property
    def supercell(self) -> tuple[float, float]:
        """Å."""
        return self.extent[0] * self.tiling[0], self.extent[1] * self.tiling[1]

    def record(self) -> dict[str, Any]:
        """As a JSON-ready dictionary."""
        return asdict(self)

    def cost(self) -> list[str]:
        """Memory and time, as lines."""
        return [
            f"memory      {1e-9 * self.memory:.2f} GB",
            f"time        about {max(1.0, self.seconds):.0f} s on {self.threads} core{'s' * (self.threads > 1)}",
        ]
