"""The integrated centre of mass: a phase blurred by the probe."""

from typing import ClassVar, Literal

import numpy as np

from rhotem.core import Progress, silent
from rhotem.microscope.images import ImageSet
from rhotem.microscope.reconstruct.base import Method, phase_images
from rhotem.microscope.reconstruct.data import ScannedPatterns
from rhotem.microscope.signals import phase_image


class IntegratedCentreOfMass(Method):
    """Integrated centre of mass: σV of a thin specimen convolved with the intensity of the probe.

    The gradient of this phase is the mean deflection (Müller et al., Nat. Commun. 5, 5653, 2014). The patterns must
    reach as far as the specimen scatters. Aberrations stay in the image.
    """

    about: ClassVar[str] = "integrated centre of mass: the phase blurred by the probe, aberrations and all"

    kind: Literal["icom"] = "icom"

    def reconstruct(self, patterns: ScannedPatterns, progress: Progress = silent) -> ImageSet:
        """Phase in rad, mean zero."""
        patterns.require_fine_scan("icom")
        kx, ky = patterns.angles
        whole = patterns.data.sum(axis=(2, 3), dtype=np.float64)
        counted = np.where(whole > 0, whole, 1.0)
        x, y = (np.tensordot(patterns.data, k.astype(np.float32), axes=2) / counted for k in (kx, ky))
        progress("centre of mass", 1, 1)
        # what deflects the beam everywhere is a tilt or a shifted detector, not the specimen
        phase = phase_image(x - x.mean(), y - y.mean(), patterns.scan, patterns.microscope.wavelength)
        said = {"method": "icom", "mean_deflection_mrad": [float(x.mean()), float(y.mean())]}
        return phase_images({"iCoM": np.asarray(phase, np.float64)}, patterns, patterns.scan, said)
