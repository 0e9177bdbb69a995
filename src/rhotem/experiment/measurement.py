"""What an instrument recorded: numbers, their axes and the settings that the file states."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

#: What a recording is: one picture, several, one diffraction pattern, a pattern for every position of the probe.
Kind = Literal["image", "image stack", "pattern", "4D"]
#: Number of axes of each kind.
DIMENSIONS: dict[Kind, int] = {"image": 2, "image stack": 3, "pattern": 2, "4D": 4}


@dataclass(frozen=True)
class Axis:
    """One axis of a recording; pixel ``i`` lies at ``offset + i * scale``.

    Parameters
    ----------
    name : str
        ``"y"`` and ``"x"`` of positions, ``"ky"`` and ``"kx"`` of angles, ``"frame"`` of a stack.
    unit : str
        ``"Å"`` of positions, ``"mrad"`` of angles, ``""`` of frames.
    scale : float or None
        Size of a pixel in ``unit``; None where neither file nor user says it.
    offset : float
        Where the first pixel lies, in ``unit``.
    """

    name: str
    unit: str = ""
    scale: float | None = None
    offset: float = 0.0


@dataclass(frozen=True)
class Source:
    """The file that a recording comes from.

    Parameters
    ----------
    path : str
    sha256 : str
        Of the bytes of the file, hexadecimal.
    """

    path: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Measurement:
    """A recording of an electron microscope and what its file, or its user, says of it.

    Parameters
    ----------
    data : array
        Shape (rows, columns) of an image or a pattern, (frames, rows, columns) of a stack, (scan rows, scan columns,
        pattern rows, pattern columns) of 4D. Row 0 is the top as seen from the source (docs/conventions.md).
    kind : "image", "image stack", "pattern" or "4D"
    axes : tuple of Axis
        One for every axis of ``data``, in its order.
    energy_keV, convergence_mrad, dwell_us, dose_e_per_A2, camera_length_mm : float or None
        None: not known. The convergence is the semi-angle, dwell the time of one pixel of the scan or the exposure.
    counts : bool or None
        Whether values are electrons; None: not known.
    saturated : float
        Share of the pixels at the detector's top value; 0 where no value is one that pixels stop at.
    source : Source
    metadata : dict
        What the file says, as its reader gives it.
    remarks : tuple of str
        What a user should know before he trusts the numbers.

    Raises
    ------
    InputError
        If the number of axes is not that of the kind.
    """

    data: npt.NDArray[Any]
    kind: Kind
    axes: tuple[Axis, ...]
    energy_keV: float | None = None
    convergence_mrad: float | None = None
    dwell_us: float | None = None
    dose_e_per_A2: float | None = None
    camera_length_mm: float | None = None
    counts: bool | None = None
    saturated: float = 0.0
    source: Source = field(default_factory=lambda: Source("", ""))
    metadata: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wanted = DIMENSIONS[self.kind]
        if np.ndim(self.data) != wanted or len(self.axes) != wanted:
            raise InputError(
                f"{self.source.path or 'measurement'}: {self.kind} has {wanted} axes, got an array of shape "
                f"{np.shape(self.data)} with {len(self.axes)} axes; say --kind"
            )

    @property
    def pixel(self) -> tuple[float, float] | None:
        """Size of a pixel along rows' direction (y) and along a row (x), in the unit of the last axes."""
        down, right = self.axes[-2].scale, self.axes[-1].scale
        return None if down is None or right is None else (down, right)

    def record(self) -> dict[str, Any]:
        """All but data and the reader's metadata, JSON-ready."""
        return {
            "kind": self.kind,
            "shape": list(self.data.shape),
            "dtype": str(self.data.dtype),
            "axes": [vars(axis) for axis in self.axes],
            "energy_keV": self.energy_keV,
            "convergence_mrad": self.convergence_mrad,
            "dwell_us": self.dwell_us,
            "dose_e_per_A2": self.dose_e_per_A2,
            "camera_length_mm": self.camera_length_mm,
            "counts": self.counts,
            "saturated": self.saturated,
            "source": vars(self.source),
            "remarks": list(self.remarks),
        }
