"""Geometry of the segments of a ring, and the deflection that they measure."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rhotem.microscope.detectors.base import Channel

Array = npt.NDArray[Any]


class Segments(Protocol):
    """A ring of segments, in mrad and degrees."""

    @property
    def inner(self) -> float:
        """Where it begins."""

    @property
    def outer(self) -> float:
        """Where it ends."""

    @property
    def rotation(self) -> float:
        """Azimuth of the first segment."""

    @property
    def segments(self) -> int:
        """Their number."""

    def channels(self) -> list[Channel]:
        """One for each segment."""


def segment_directions(detector: Segments) -> Array:
    """Unit vectors (n, 2) of the segments' middles."""
    angles = np.deg2rad(detector.rotation + 360.0 / detector.segments * np.arange(detector.segments))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def segment_radius(detector: Segments) -> float:
    """Distance in mrad of the centroid of one ring segment from the axis.

    ``∫ρ² cos φ dρ dφ / ∫ρ dρ dφ`` over one of n segments.
    """
    inner, outer, half = detector.inner, detector.outer, np.pi / detector.segments
    return float(2 / 3 * (outer**3 - inner**3) / (outer**2 - inner**2) * np.sin(half) / half)


def segments_to_moment(segments: Array, detector: Segments, convergence: float) -> tuple[Array, Array]:
    """Deflection (mrad) along x and y from segment images (n, nx, ny), for a probe of ``convergence`` mrad.

    Every segment is taken to hold its intensity at its centroid (Lazić et al., Ultramicroscopy 160, 265, 2016). That
    underestimates a deflection; it is divided by its response to a small rigid shift of the uniform bright disc, so
    that the scale is that of the centre of mass for slowly varying phases.
    """
    vectors = segment_directions(detector) * (segment_radius(detector) / shift_response(detector, convergence))
    x, y = (np.tensordot(vectors[:, axis], segments, axes=1) for axis in (0, 1))
    return x, y


def shift_response(detector: Segments, convergence: float) -> float:
    """Centroid deflection of the segments per unit shift of the bright disc of radius ``convergence`` (mrad).

    Only the rim of the disc changes: ``r/(πα) Σ_i e_i·∫_i n dφ`` per axis with segment centroids ``r e_i``, which is
    ``n sin(π/n) r/πα`` for n segments. A detector that does not reach over the rim has no such response and is left as
    it is (1).
    """
    if not detector.inner < convergence <= detector.outer * (1 + 1e-6):
        return 1.0
    number = detector.segments
    return float(number * np.sin(np.pi / number) * segment_radius(detector) / (np.pi * convergence))
