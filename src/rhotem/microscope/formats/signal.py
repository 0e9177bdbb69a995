"""`Signal`: an image or a set of diffraction patterns with calibrated axes, as it is written to files and read back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Axis:
    """A calibrated axis: the value at index i is ``offset + i · step``, or ``at[i]``.

    Parameters
    ----------
    name : str
        ``x``, ``y`` of positions, ``kx``, ``ky`` of diffraction angles; of a stack what changes: ``thickness``.
    unit : str
        ``Å``, ``nm`` or ``mrad``.
    size : int
    step, offset : float
    at : tuple of float
        Values that are not evenly spaced; empty: they are.
    """

    name: str
    unit: str
    size: int
    step: float
    offset: float = 0.0
    at: tuple[float, ...] = ()

    @classmethod
    def of(cls, name: str, unit: str, values: Sequence[float]) -> "Axis":
        """An axis of any values."""
        return cls(name, unit, len(values), 0.0, at=tuple(map(float, values)))

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """Value at every index."""
        if self.at:
            return np.array(self.at)
        return np.asarray(self.offset + self.step * np.arange(self.size), np.float64)


@dataclass(frozen=True, eq=False)
class Signal:
    """An array in the index order of docs/conventions.md: an image [x, y], patterns [x, y, kx, ky], a stack of images.

    Parameters
    ----------
    name : str
    data : (nx, ny), (nx, ny, Kx, Ky) or (..., nx, ny) array
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
        return self.axes[-1].name == "ky"

    @property
    def navigated(self) -> int:
        """Dimensions of what is looked through: positions of patterns, or what changes in a stack."""
        return self.data.ndim - 2

    @property
    def quantity(self) -> str:
        """Unit in words."""
        return self.unit or "fraction of beam"

    def in_rows(self) -> tuple[npt.NDArray, tuple[Axis, ...]]:
        """Data and axes as pictures are stored, rows first: (..., y, x) or (y, x, ky, kx); row 0 on top."""
        last = self.data.ndim - 2
        order = (1, 0, 3, 2) if self.patterns else (*range(last), last + 1, last)
        return np.ascontiguousarray(self.data.transpose(order)), tuple(self.axes[i] for i in order)

    @property
    def energy(self) -> float | None:
        """Beam energy in eV, where it is known."""
        return 1e3 * self.said["energy_keV"] if self.said.get("energy_keV") else None

    @property
    def convergence(self) -> float | None:
        """Convergence semi-angle in mrad, where it is known."""
        return self.said.get("convergence_mrad") or None
