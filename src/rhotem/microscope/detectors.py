"""Detectors as weights in reciprocal space: every image is a sum of intensity times weight."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.microscope.optics import soft_disc
from rhotem.microscope.settings import Annular, CenterOfMass, Detector, Segmented

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Channel:
    """One number per probe position: Σ_k weight(k) |ψ(k)|²."""

    name: str
    detector: Detector
    role: str = "image"


def channels(detectors: "list[Detector] | tuple[Detector, ...]") -> list[Channel]:
    """Channels recorded for ``detectors``; pixelated detectors keep whole patterns and have none."""
    found = []
    for detector in detectors:
        if isinstance(detector, Annular):
            found.append(Channel(detector.name, detector))
        elif isinstance(detector, Segmented):
            found += [Channel(f"{detector.name}segment{i}", detector, f"segment{i}") for i in range(4)]
        elif isinstance(detector, CenterOfMass):
            found += [Channel(f"{detector.name}CoM{axis}", detector, axis) for axis in "xy"]
    return found


def weight(channel: Channel, kx: Array, ky: Array, wavelength: float, step: tuple[float, float]) -> Array:
    """Weight of a channel at frequencies ``kx, ky`` (1/Å) on a reciprocal grid with steps ``step``.

    Detector edges fall linearly over one reciprocal step: each pixel counts by about its covered area. Pixels that
    count fully or not at all (abTEM's detectors) make the signal jump with the supercell, for ABF by several per cent
    when the detector ends at the edge of the bright disc. First moments are in mrad.
    """
    detector = channel.detector
    if isinstance(detector, CenterOfMass):
        disc = soft_disc(kx, ky, detector.outer * 1e-3 / wavelength, step)
        return disc * 1e3 * wavelength * (kx if channel.role == "x" else ky)
    inner, outer = detector.inner * 1e-3 / wavelength, detector.outer * 1e-3 / wavelength
    if detector.edges == "hard":
        k = np.hypot(kx, ky)
        ring = ((k >= inner) & (k < outer)).astype(float)
    else:
        hole = soft_disc(kx, ky, inner, step) if inner else 0.0
        ring = np.clip(soft_disc(kx, ky, outer, step) - hole, 0.0, 1.0)
    if isinstance(detector, Segmented):
        return ring * _sector(kx, ky, detector, int(channel.role[-1]))
    return ring


def _sector(kx: Array, ky: Array, detector: Segmented, index: int) -> Array:
    """One for directions in the quadrant ``index``, one half on its two edges, one quarter at the origin."""
    angle = np.deg2rad(detector.rotation + 90.0 * index)
    along = np.cos(angle) * kx + np.sin(angle) * ky
    across = np.abs(-np.sin(angle) * kx + np.cos(angle) * ky)
    tolerance = 1e-9 + 1e-6 * np.hypot(kx, ky)
    inside = np.where(np.abs(along - across) < tolerance, 0.5, (along > across).astype(float))
    return np.where((kx == 0) & (ky == 0), 0.25, inside)


def segment_directions(detector: Segmented) -> Array:
    """Unit vectors (4, 2) of the segments' middles."""
    angles = np.deg2rad(detector.rotation + 90.0 * np.arange(4))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def segment_radius(detector: Segmented) -> float:
    """Distance in mrad of the centroid of one 90° ring segment from the axis.

    ``∫ρ² cos φ dρ dφ / ∫ρ dρ dφ`` over one segment.
    """
    inner, outer = detector.inner, detector.outer
    return 2 / 3 * (outer**3 - inner**3) / (outer**2 - inner**2) * np.sin(np.pi / 4) / (np.pi / 4)
