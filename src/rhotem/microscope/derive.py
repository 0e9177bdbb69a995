"""From recorded signals to calibrated images: source size, dose, differential phase contrast."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.images import ImageSet
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import CenterOfMass, Detector, Microscope, Segmented
from rhotem.microscope.signals import count, divergence, field_of_view, phase_image, segments_to_moment, source_blur

Array = npt.NDArray[Any]


def derive_images(
    recorder: Recorder,
    scan: Scan,
    microscope: Microscope,
    detectors: tuple[Detector, ...],
    rng: np.random.Generator | None,
    record: dict,
) -> ImageSet:
    """Images of the mean signals of a recorder: blurred by the source, counted, DPC and centre of mass derived.

    Parameters
    ----------
    recorder : Recorder
        Averaged over configurations, in the order of the scan (`Recorder.folded`).
    scan : Scan
    microscope : Microscope
    detectors : tuple of detectors
    rng : numpy Generator or None
        Counting noise is drawn from it where the microscope has a dose; None: none.
    record : dict
        Kept with the images.
    """
    sums: Array = recorder.sums.T.reshape(len(recorder.channels), *scan.shape)
    sums = source_blur(sums, scan, microscope.source_size)
    patterns = {k: v.reshape(*scan.shape, *v.shape[1:]) for k, v in recorder.patterns.items()}
    if microscope.source_size:
        patterns = {k: _blur_patterns(v, scan, microscope.source_size) for k, v in patterns.items()}
    if microscope.dose is not None and not patterns:
        sums, scan = field_of_view(sums, scan, microscope.pixel, microscope.field)
    raw: dict[str, Array] = dict(zip((c.name for c in recorder.channels), sums, strict=True))
    raw |= _moments(recorder, raw, scan, microscope, rng)
    if microscope.dose is not None and rng is not None:
        counted = [c.name for c in recorder.channels if not isinstance(c.detector, CenterOfMass)]
        raw |= {name: count(raw[name], scan, microscope.dose, rng) for name in counted}
        patterns = {k: _count_patterns(v, scan, microscope.dose, rng) for k, v in patterns.items()}
    images: dict[str, Array] = {}
    for detector in detectors:
        images |= _derived(detector, raw, scan, microscope)
    angular = (1e3 * microscope.wavelength * recorder.step[0], 1e3 * microscope.wavelength * recorder.step[1])
    return ImageSet(images, scan, recorder.pacbed, angular, patterns, record)


def _moments(
    recorder: Recorder, raw: dict[str, Array], scan: Scan, microscope: Microscope, rng: np.random.Generator | None
) -> dict[str, Array]:
    """Mean deflections; with a dose also their counting noise, Gaussian with the variance of a compound Poisson sum."""
    means: dict[str, Array] = {}
    for channel in recorder.channels:
        if isinstance(channel.detector, CenterOfMass) and channel.role in ("x", "y"):
            total = raw[channel.name[:-1]]
            means[channel.name] = raw[channel.name] / total
            if microscope.dose is not None and rng is not None:
                electrons = microscope.dose * scan.step[0] * scan.step[1]
                square = raw[channel.name + channel.role]
                spread = np.sqrt(np.clip(square, 0, None) / electrons) / total
                means[channel.name] = rng.normal(means[channel.name], spread)
    return means


def _derived(detector: Detector, raw: dict[str, Array], scan: Scan, microscope: Microscope) -> dict[str, Array]:
    name = detector.name
    if isinstance(detector, Segmented):
        segments = np.stack([raw[f"{name}segment{i}"] for i in range(4)])
        x, y = segments_to_moment(segments, detector, microscope.convergence)
        return {
            f"{name}iDPC": phase_image(x, y, scan, microscope.wavelength),
            f"{name}dDPC": divergence(x, y, scan),
            f"{name}DPCx": x,
            f"{name}DPCy": y,
        }
    if isinstance(detector, CenterOfMass):
        x, y = raw[f"{name}CoMx"], raw[f"{name}CoMy"]
        return {f"{name}CoMx": x, f"{name}CoMy": y, f"{name}iCoM": phase_image(x, y, scan, microscope.wavelength)}
    return {name: raw[name]} if name in raw else {}


def _blur_patterns(patterns: npt.NDArray, scan: Scan, fwhm: float) -> npt.NDArray:
    return np.moveaxis(source_blur(np.moveaxis(patterns, (0, 1), (2, 3)), scan, fwhm), (2, 3), (0, 1)).astype(
        np.float32
    )


def _count_patterns(patterns: npt.NDArray, scan: Scan, dose: float, rng: np.random.Generator) -> npt.NDArray:
    return count(patterns, scan, dose, rng).astype(np.float32)
