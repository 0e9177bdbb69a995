"""What one detector recorded in a scan."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.detectors.base import DetectorBase


@dataclass(frozen=True, eq=False)
class Recorded:
    """An image with its detector.

    Parameters
    ----------
    detector : detector
    values : (rows, columns) array
        Row 0 on top. Electrons where ``counts``, else any unit.
    counts : bool
    noise : float or None
        Standard deviation of a pixel where values are no electrons; None: what second differences show.
    doubt : detector or None
        The detector with its angles off by one standard error: what this would change is part of a fit's errors. The
        response must hold its edges.
    image : str or None
        Which image of a detector that gives several, as ``segment0`` of `Segmented(each=True)`.
    """

    detector: DetectorBase
    values: npt.NDArray[np.floating]
    counts: bool = False
    noise: float | None = None
    doubt: DetectorBase | None = None
    image: str | None = None

    def __post_init__(self) -> None:
        names = self.detector.image_names()
        if self.image not in names and (self.image or len(names) != 1):
            raise InputError(f"detector {self.detector.name} gives {', '.join(names)}; say which as image=")
        if self.image and self.doubt:
            raise InputError(f"{self.image}: a doubt is that of a detector of one image")
        if np.ndim(self.values) != 2 or not np.isfinite(self.values).all():
            raise InputError(f"{self.name}: expected a finite image, got an array of shape {np.shape(self.values)}")
        if self.counts and np.min(self.values) < 0:
            raise InputError(f"{self.name}: electrons below zero; give counts=False if values have an offset")

    @property
    def name(self) -> str:
        """That of its image."""
        return self.image or str(self.detector.image_names()[0])


def same_scan(images: list[Recorded]) -> tuple[int, int]:
    """Rows and columns of all images.

    Raises
    ------
    InputError
        If there are none, or they differ.
    """
    shapes = {np.shape(one.values) for one in images}
    if len(shapes) != 1 or len({one.name for one in images}) < len(images):
        raise InputError("images: expected one or more of different detectors, all of the same scan")
    rows, columns = shapes.pop()
    return int(rows), int(columns)
