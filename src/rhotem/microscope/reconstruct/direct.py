"""Parallax and Wiener deconvolution of patterns by quantem's direct ptychography."""

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.microscope.images import ImageSet
from rhotem.microscope.reconstruct.base import Method, phase_images
from rhotem.microscope.reconstruct.bridge import dataset, require_quantem, rim_as_amplitude, said
from rhotem.microscope.reconstruct.data import ScannedPatterns


class Parallax(Method):
    """Parallax (tilt-corrected bright field): images of all pixels of the disc, shifted onto each other and summed.

    Contrast goes as sin χ: it needs a defocused probe, and its values are a part of the bright field, not rad.
    """

    about: ClassVar[str] = "parallax, or tilt-corrected bright field, of a defocused probe (quantem)"
    extra: ClassVar[str] = "reconstruct"

    kind: Literal["parallax"] = "parallax"

    def reconstruct(self, patterns: ScannedPatterns, progress: Progress = silent) -> ImageSet:
        """Contrast as a part of the bright field.

        Raises
        ------
        InputError
            If the probe is in focus.
        """
        require_quantem("parallax")
        if not patterns.microscope.coefficients:
            raise InputError("parallax: the probe is in focus and transfers nothing; use ssb, or say --defocus")
        image = _direct(patterns, "prlx", progress)
        made = phase_images({"parallax": image}, patterns, patterns.scan, said("parallax"))
        made.record["units"]["parallax"] = "part of bright field"
        return made


class Wiener(Method):
    """Weak-phase least squares with a prior from the data (quantem): the phase, with noise held back."""

    about: ClassVar[str] = "weak phase by least squares with a prior from the data (quantem)"
    extra: ClassVar[str] = "reconstruct"

    kind: Literal["wiener"] = "wiener"

    def reconstruct(self, patterns: ScannedPatterns, progress: Progress = silent) -> ImageSet:
        """Phase in rad, mean zero."""
        require_quantem("wiener")
        patterns.require_fine_scan("wiener")
        return phase_images({"Wiener": _direct(patterns, "wiener", progress)}, patterns, patterns.scan, said("wiener"))


def _direct(patterns: ScannedPatterns, kernel: str, progress: Progress) -> npt.NDArray[np.float64]:
    from quantem.diffractive_imaging.direct_ptychography import DirectPtychography

    made, origin = dataset(rim_as_amplitude(patterns) if kernel == "wiener" else patterns)
    coefficients: dict[str, Any] = dict(patterns.microscope.coefficients)
    solver = DirectPtychography.from_dataset4d(
        made,
        energy=patterns.microscope.energy,
        semiangle_cutoff=patterns.microscope.convergence,
        aberration_coefs=coefficients,
        rotation_angle=patterns.rotation,
        force_fitted_origin=(float(origin[0]), float(origin[1])),
        verbose=False,
    )
    solver.reconstruct(deconvolution_kernel=kernel, verbose=False)
    progress(kernel, 1, 1)
    image = np.asarray(solver.corrected_bf.detach().cpu().numpy(), np.float64)
    return np.asarray(image - image.mean())
