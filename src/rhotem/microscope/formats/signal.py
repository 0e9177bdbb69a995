"""`Signal`: an image or a set of diffraction patterns with calibrated axes, as it is written to files and read back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Axis:
    """A calibrated axis: the value at index i is ``offset + i · step``.

    Parameters
    ----------
    name : str
        ``x``, ``y`` of positions, ``kx``, ``ky`` of diffraction angles.
    unit : str
        ``Å`` or ``mrad``.
    size : int
    step, offset : float
    """

    name: str
    unit: str
    size: int
    step: float
    offset: float = 0.0

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Value at every index."""
        return np.asarray(self.offset + self.step * np.arange(self.size), np.float64)


@dataclass(frozen=True, eq=False)
class Signal:
    """An array in the index order of docs/conventions.md: an image [x, y] or patterns [x, y, kx, ky].

    Parameters
    ----------
    name : str
    data : (nx, ny) or (nx, ny, Kx, Ky) array
    axes : tuple of Axis
        One for each dimension of ``data``.
    unit : str
        Of the values; empty: fraction of the beam.
    said : dict
        What a caption tells: energy, convergence, dose, thickness, source, crystal directions, JSON-ready.
    record : dict
        What the simulation did, JSON-ready.
    """

    name: str
    data: npt.NDArray
    axes: tuple[Axis, ...]
    unit: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def patterns(self) -> bool:
        """Whether it holds diffraction patterns of a scan."""
        return self.data.ndim == 4

    @property
    def quantity(self) -> str:
        """Unit in words."""
        return self.unit or "fraction of beam"

    def in_rows(self) -> tuple[npt.NDArray, tuple[Axis, ...]]:
        """Data and axes as pictures are stored, rows first: (y, x) or (y, x, ky, kx); row 0 on top."""
        order = (1, 0, 3, 2)[: self.data.ndim]
        return np.ascontiguousarray(self.data.transpose(order)), tuple(self.axes[i] for i in order)

    @property
    def energy(self) -> float | None:
        """Beam energy in eV, where it is known."""
        return 1e3 * self.said["energy_keV"] if self.said.get("energy_keV") else None

    @property
    def convergence(self) -> float | None:
        """Convergence semi-angle in mrad, where it is known."""
        return self.said.get("convergence_mrad") or None
