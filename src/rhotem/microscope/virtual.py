"""Virtual detectors: images of any detector from recorded diffraction patterns (4D-STEM)."""

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.detectors import DetectorBase, channels, weight
from rhotem.microscope.images import ImageSet
from rhotem.microscope.instrument import Microscope


def virtual_images(
    images: ImageSet, detectors: Sequence[DetectorBase], name: str | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """Images (nx, ny) of detectors from the patterns of a pixelated one; also of patterns with counting noise.

    A pixel on the edge of a detector counts by its part inside. Detectors that are recorded beside the patterns count
    the illuminated part of the pixels at the rim of the aperture, virtual ones cannot: on a disc that ends with the
    aperture they differ by that, per cents of the beam, and a warning says so.

    Parameters
    ----------
    images : ImageSet
    detectors : sequence of detectors
    name : str, optional
        Of the pixelated detector; None: the first.

    Raises
    ------
    InputError
        If there are no patterns, or a detector reaches beyond them.
    """
    if not images.patterns:
        raise InputError("no patterns: record them with a pixelated detector, --detector 4D=40")
    chosen = name or next(iter(images.patterns))
    if chosen not in images.patterns:
        raise InputError(f"patterns {chosen!r}: there are {', '.join(images.patterns)}")
    pattern = images.patterns[chosen]
    microscope = Microscope(**images.record["microscope"])
    step = [1e-3 * s / microscope.wavelength for s in images.angular_step]
    held = min((n // 2) * s for n, s in zip(pattern.shape[2:], images.angular_step, strict=True))
    for detector in detectors:
        if detector.outer > held + max(images.angular_step):
            raise InputError(f"detector {detector.name}: reaches {detector.outer:g} mrad, the patterns {held:.4g} mrad")
        _rim(detector, microscope, max(images.angular_step))
    axes = (s * (np.arange(n) - n // 2) for n, s in zip(pattern.shape[2:], step, strict=True))
    kx, ky = np.meshgrid(*axes, indexing="ij")
    signals: dict[str, npt.NDArray[np.float64]] = {}
    for channel in channels(detectors):
        mask = weight(channel, kx, ky, microscope.wavelength, (step[0], step[1]))
        signals[channel.name] = np.tensordot(pattern.astype(float), mask, axes=2)
        if channel.role in ("x", "y"):
            whole = signals[channel.plain]
            signals[channel.name] = np.divide(signals[channel.name], whole, out=np.zeros_like(whole), where=whole > 0)
    found: dict[str, npt.NDArray[np.float64]] = {}
    for detector in detectors:
        found |= detector.images(signals, images.scan, microscope)
    return found


def _rim(detector: DetectorBase, microscope: Microscope, pixel: float) -> None:
    """Warn of a detector that ends within a ``pixel`` (mrad) of the aperture's rim."""
    near = [e for e in (getattr(detector, "inner", 0.0), detector.outer) if abs(e - microscope.convergence) < pixel]
    if near:
        warnings.warn(
            f"detector {detector.name} ends at {near[0]:g} mrad, where the aperture does ({microscope.convergence:g} "
            f"mrad): patterns of {pixel:.2g} mrad pixels do not tell both; record it beside them, or end it elsewhere",
            stacklevel=3,
        )
