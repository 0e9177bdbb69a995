"""Detectors as weights in reciprocal space: every image is a sum of intensity times weight."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.microscope.optics import soft_disc
from rhotem.microscope.settings import Annular, CenterOfMass, Detector, Segmented

Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Channel:
    """One number per probe position: Σ_k weight(k) |ψ(k)|²."""

    name: str
    detector: Annular | Segmented | CenterOfMass
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
            found += [Channel(f"{detector.name}CoM{role}", detector, role) for role in ("", "x", "y")]
    return found


def weight(
    channel: Channel,
    kx: Array,
    ky: Array,
    wavelength: float,
    step: tuple[float, float],
    covered: Array | float = 1.0,
) -> Array:
    """Weight of a channel at frequencies ``kx, ky`` (1/Å) on a reciprocal grid with steps ``step``.

    Detector edges fall linearly over one reciprocal step: each pixel counts by its part inside the detector. Pixels
    that count fully or not at all (``edges="hard"``) make signals jump with the supercell. Moments are in mrad.

    ``covered`` is the part of each pixel inside the probe-forming aperture; given, the weight is the part inside both.
    The two discs have the same centre, so the part of a pixel inside both is the smaller of the two parts.
    """
    detector = channel.detector
    outer = detector.outer * 1e-3 / wavelength
    if isinstance(detector, CenterOfMass):
        disc = np.minimum(soft_disc(kx, ky, outer, step), covered)
        return disc * np.prod([1e3 * wavelength * (kx if axis == "x" else ky) for axis in channel.role], axis=0)
    inner = detector.inner * 1e-3 / wavelength
    if detector.edges == "hard":
        k = np.hypot(kx, ky)
        ring = ((k >= inner) & (k < outer)) * covered
    else:
        hole = np.minimum(soft_disc(kx, ky, inner, step), covered) if inner else 0.0
        ring = np.clip(np.minimum(soft_disc(kx, ky, outer, step), covered) - hole, 0.0, 1.0)
    if isinstance(detector, Segmented):
        azimuth = detector.rotation + 90.0 * int(channel.role[-1])
        return ring * quadrant(kx, ky, azimuth, step, detector.edges == "hard")
    return ring


def rings_of(
    radii: list[float], kx: Array, ky: Array, step: tuple[float, float], covered: Array | float, hard: bool = False
) -> list[Array]:
    """Parts of pixels in the rings between increasing ``radii`` (1/Å), the outside last; they sum to ``covered``.

    ``hard``: a pixel lies fully in one ring.
    """
    whole = np.broadcast_to(covered, np.broadcast(kx, ky).shape)
    discs = [(np.hypot(kx, ky) < r) * whole if hard else np.minimum(soft_disc(kx, ky, r, step), whole) for r in radii]
    inner = [np.zeros(whole.shape), *discs]
    return [outer - less for outer, less in zip([*discs, whole], inner, strict=True)]


def quadrant(kx: Array, ky: Array, azimuth: float, step: tuple[float, float], hard: bool = False) -> Array:
    """Part of each pixel between two straight lines through the axis, 45° on either side of ``azimuth`` (degrees)."""
    part = np.ones(np.broadcast(kx, ky).shape)
    for side in (-45.0, 45.0):
        angle = np.deg2rad(azimuth + side)
        nx, ny = float(np.cos(angle)), float(np.sin(angle))
        if hard:
            part *= (1 + np.sign(np.round(nx * kx + ny * ky, 9))) / 2
        else:
            part *= _beyond_line(nx, ny, kx, ky, step)
    return part


def _beyond_line(nx: float, ny: float, kx: Array, ky: Array, step: tuple[float, float]) -> Array:
    """Area fraction of rectangular pixels on the side of a line through the origin to which (nx, ny) points."""
    distance = nx * kx + ny * ky
    a, b = sorted((abs(nx) * step[0], abs(ny) * step[1]))
    if a < 1e-6 * b:
        return np.clip(distance / b + 0.5, 0.0, 1.0)

    def half_square(x: Array) -> Array:
        return np.maximum(x, 0.0) ** 2 / 2

    outer, inner = (a + b) / 2, (b - a) / 2
    corners = half_square(distance + outer) - half_square(distance + inner)
    return (corners - half_square(distance - inner) + half_square(distance - outer)) / (a * b)


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
