"""Regions of the diffraction plane as weights: every image is a sum of intensity times weight."""

import numpy as np
import numpy.typing as npt

from rhotem.microscope.detectors.base import Channel
from rhotem.microscope.optics import disc_part

Array = npt.NDArray[np.floating]


def weight(
    channel: Channel,
    kx: Array,
    ky: Array,
    wavelength: float,
    step: tuple[float, float],
    covered: Array | float = 1.0,
) -> Array:
    """Weight of a channel at frequencies ``kx, ky`` (1/Å) on a reciprocal grid with steps ``step``.

    Each pixel counts by its part inside the detector. Pixels that count fully or not at all (``edges="hard"``) make
    signals jump with the supercell. Moments are in mrad.

    ``covered`` is the part of each pixel inside the probe-forming aperture; given, the weight is the part inside both.
    The two discs have the same centre, so the part of a pixel inside both is the smaller of the two parts.
    """
    region = channel.region
    inner, outer = region.inner * 1e-3 / wavelength, region.outer * 1e-3 / wavelength
    if region.hard:
        k = np.hypot(kx, ky)
        part = ((k >= inner) & (k < outer)) * covered
    else:
        hole = np.minimum(disc_part(kx, ky, inner, step), covered) if inner else 0.0
        part = np.clip(np.minimum(disc_part(kx, ky, outer, step), covered) - hole, 0.0, 1.0)
    for azimuth in region.quadrants:
        part = part * quadrant(kx, ky, azimuth, step, region.hard)
    if channel.role:
        scale = 1e3 * wavelength
        part = part * channel.weigh(scale * kx, scale * ky, (scale * step[0], scale * step[1]))
    return part


def rings_of(
    radii: list[float], kx: Array, ky: Array, step: tuple[float, float], covered: Array | float, hard: bool = False
) -> list[Array]:
    """Parts of pixels in the rings between increasing ``radii`` (1/Å), the outside last; they sum to ``covered``.

    ``hard``: a pixel lies fully in one ring.
    """
    whole = np.broadcast_to(covered, np.broadcast(kx, ky).shape)
    discs = [(np.hypot(kx, ky) < r) * whole if hard else np.minimum(disc_part(kx, ky, r, step), whole) for r in radii]
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
