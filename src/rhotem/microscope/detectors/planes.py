"""Regions of the diffraction plane as weights: every image is a sum of intensity times weight."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rhotem.microscope.detectors.base import Channel, Region
from rhotem.microscope.optics import disc_part, quadrature

Array = npt.NDArray[np.floating]


def weight(
    channel: Channel,
    kx: Array,
    ky: Array,
    wavelength: float,
    step: tuple[float, float],
    opening: float | None = None,
) -> Array:
    """Weight of a channel at frequencies ``kx, ky`` (1/Å) on a reciprocal grid with steps ``step``.

    Each pixel counts by its part inside the detector. Pixels that count fully or not at all (``edges="hard"``) make
    signals jump with the supercell. Moments are in mrad.

    ``opening`` is the radius (1/Å) of the probe-forming aperture; given, the weight is the part inside both. The two
    discs have the same centre, so that what lies inside both is the smaller one.
    """
    return _weighed(channel, (kx, ky), wavelength, step, opening, lambda part: part(kx, ky))


def integral_weight(
    channel: Channel,
    kx: Array,
    ky: Array,
    wavelength: float,
    step: tuple[float, float],
    opening: float | None = None,
) -> Array:
    """As `weight`, but sums of smooth functions are integrals over the detector to fourth order in ``step``.

    See `rhotem.microscope.optics.quadrature`; pixels of hard edges count as before.
    """
    return _weighed(channel, (kx, ky), wavelength, step, opening, lambda part: quadrature(part, kx, ky, step))


def _soft_part(
    region: Region, kx: Array, ky: Array, wavelength: float, step: tuple[float, float], opening: float | None
) -> Array:
    """Part of each pixel inside a region, and inside an aperture."""
    most = np.inf if opening is None else opening
    inner, outer = (min(1e-3 * angle / wavelength, most) for angle in (region.inner, region.outer))
    part = disc_part(kx, ky, outer, step) - (disc_part(kx, ky, inner, step) if inner else 0.0)
    for azimuth in region.quadrants:
        part = part * quadrant(kx, ky, azimuth, step)
    return part


def _hard_part(region: Region, kx: Array, ky: Array, wavelength: float, step: tuple[float, float]) -> Array:
    """1 for pixels whose middle lies inside a region."""
    inner, outer = (1e-3 * angle / wavelength for angle in (region.inner, region.outer))
    k = np.hypot(kx, ky)
    part: Array = np.asarray((k >= inner) & (k < outer), dtype=np.float64)
    for azimuth in region.quadrants:
        part = part * quadrant(kx, ky, azimuth, step, hard=True)
    return part


def _weighed(
    channel: Channel,
    k: tuple[Array, Array],
    wavelength: float,
    step: tuple[float, float],
    opening: float | None,
    over: Callable[[Callable[[Array, Array], Array]], Array],
) -> Array:
    """Weight of a channel at ``k``; ``over`` makes weights of pixels from what gives their parts in smooth edges."""
    region, (kx, ky) = channel.region, k
    if region.hard:
        whole = 1.0 if opening is None else over(lambda x, y: disc_part(x, y, opening, step))
        part = _hard_part(region, kx, ky, wavelength, step) * whole
    else:
        part = over(lambda x, y: _soft_part(region, x, y, wavelength, step, opening))
    scale = 1e3 * wavelength
    return part * channel.weigh(scale * kx, scale * ky, (scale * step[0], scale * step[1])) if channel.role else part


def rings_of(
    radii: list[float],
    kx: Array,
    ky: Array,
    step: tuple[float, float],
    opening: float | None = None,
    hard: bool = False,
) -> list[Array]:
    """Parts of pixels in the rings between increasing ``radii`` (1/Å), the outside last.

    They sum to 1, or to what lies inside an aperture of radius ``opening`` (1/Å). ``hard``: pixels lie fully in one.
    """
    most = np.inf if opening is None else opening
    shape = np.broadcast(kx, ky).shape
    if hard:
        discs: list[Array] = [np.asarray(np.hypot(kx, ky) < r, dtype=np.float64) for r in radii]
    else:
        discs = [disc_part(kx, ky, min(r, most), step) for r in radii]
    whole = np.ones(shape) if opening is None else disc_part(kx, ky, opening, step)
    inner = [np.zeros(shape), *discs]
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
