"""One recording as a file states it, before units are converted and gaps are filled."""

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True)
class FileAxis:
    """An axis as a file writes it.

    Parameters
    ----------
    name : str
    unit : str
        As written; "" where the file has none.
    scale : float or None
        None where the file has none.
    offset : float
    scanned : bool
        Whether the axis numbers frames or positions of the probe rather than pixels of a picture.
    """

    name: str = ""
    unit: str = ""
    scale: float | None = None
    offset: float = 0.0
    scanned: bool = False


@dataclass(frozen=True, eq=False)
class Signal:
    """One recording of a file.

    Parameters
    ----------
    data : array
        Row 0 is the top of the picture.
    axes : tuple of FileAxis
        One for every axis of ``data``.
    title : str
        What the file calls it: the detector.
    settings : dict
        Those of ``energy_keV, convergence_mrad, dwell_us, current_pA, camera_length_mm, dose_e_per_A2`` that the file
        states.
    diffraction : bool or None
        Whether the picture is a diffraction pattern, where the file says so without a unit.
    counts : bool or None
        Whether values are electrons.
    camera : bool
        Whether the dwell time is the exposure of a camera, during which the beam covers more than a pixel.
    metadata : dict
    remarks : tuple of str
    """

    data: npt.NDArray[Any]
    axes: tuple[FileAxis, ...]
    title: str = ""
    settings: dict[str, float] = field(default_factory=dict)
    diffraction: bool | None = None
    counts: bool | None = None
    camera: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """Name and shape for lists."""
        shape = " × ".join(map(str, self.data.shape))
        return f"{self.title} ({shape})" if self.title else shape
