"""What every method of reconstruction is: settings, and images of phases from patterns."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rhotem.core import Progress, silent
from rhotem.microscope.base import Settings
from rhotem.microscope.images import ImageSet
from rhotem.microscope.reconstruct.data import ScannedPatterns
from rhotem.microscope.scan import Scan


class Method(Settings, ABC):
    """A method of reconstruction: its settings, and `reconstruct`."""

    #: What it does, in a line; what it needs beside RhoTEM.
    about: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    @abstractmethod
    def reconstruct(self, patterns: ScannedPatterns, progress: Progress = silent) -> ImageSet:
        """Phases in rad, by name.

        Raises
        ------
        InputError
            If the patterns do not hold what the method needs.
        """


def phase_images(
    images: dict[str, npt.NDArray[np.float64]], patterns: ScannedPatterns, scan: Scan, said: dict[str, Any]
) -> ImageSet:
    """Phases on the positions of ``scan`` as images; ``said``: what the record says of the reconstruction."""
    microscope = patterns.microscope.model_dump(mode="json")
    record = {
        **patterns.record,
        "detectors": [],
        "units": dict.fromkeys(images, "rad"),
        "microscope": {**microscope, "dose": patterns.record.get("microscope", {}).get("dose")},
        "phonon_error": {},
        "idpc_over_icom": {},
        "reconstruction": said,
    }
    return ImageSet(images, scan, np.zeros((0, 0)), patterns.angular_step, record=record)
