"""Four segments: differential phase contrast, its integration and its divergence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from rhotem.microscope.detectors.base import Channel, Ring
from rhotem.microscope.instrument import Microscope

if TYPE_CHECKING:
    from rhotem.microscope.scan import Scan

Array = npt.NDArray[Any]


class Segmented(Ring):
    """Four-quadrant annular detector: differential phase contrast, iDPC and dDPC.

    Segments are centred on the directions ``rotation + 0°, 90°, 180°, 270°`` from +x, each 90° wide.

    Parameters
    ----------
    name : str
        Prefix of the images; ``""`` gives ``iDPC``, ``dDPC``, ``DPCx``, ``DPCy``.
    inner, outer : float
        Angles in mrad.
    rotation : float
        Azimuth of the first segment in degrees.
    """

    units: ClassVar[Mapping[str, str]] = {"iDPC": "rad", "dDPC": "mrad/Å", "DPCx": "mrad", "DPCy": "mrad"}
    written: ClassVar[tuple[str, ...]] = ("dpc", "idpc", "ddpc")

    kind: Literal["segmented"] = "segmented"
    name: str = ""
    rotation: float = 0.0

    def image_names(self) -> list[str]:
        """``iDPC``, ``dDPC``, ``DPCx`` and ``DPCy`` behind the name."""
        return [self.name + suffix for suffix in ("iDPC", "dDPC", "DPCx", "DPCy")]

    def channels(self) -> list[Channel]:
        """The four segments."""
        return [Channel(f"{self.name}segment{i}", self.region(self.rotation + 90.0 * i)) for i in range(4)]

    def images(self, signals: Mapping[str, Array], scan: "Scan", microscope: Microscope) -> dict[str, Array]:
        """Deflections, the phase whose gradient they are, and their divergence."""
        from rhotem.microscope.signals import divergence, phase_image

        segments = np.stack([signals[f"{self.name}segment{i}"] for i in range(4)])
        x, y = segments_to_moment(segments, self, microscope.convergence)
        return {
            f"{self.name}iDPC": phase_image(x, y, scan, microscope.wavelength),
            f"{self.name}dDPC": divergence(x, y, scan),
            f"{self.name}DPCx": x,
            f"{self.name}DPCy": y,
        }

    def remarks(self, microscope: Microscope) -> dict[str, Any]:
        """How high iDPC shows atoms, in units of iCoM."""
        from rhotem.microscope.transfer import height_of_atoms

        return {"idpc_over_icom": {f"{self.name}iDPC": height_of_atoms(self, microscope)}}


def segment_directions(detector: Segmented) -> Array:
    """Unit vectors (4, 2) of the segments' middles."""
    angles = np.deg2rad(detector.rotation + 90.0 * np.arange(4))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def segment_radius(detector: Segmented) -> float:
    """Distance in mrad of the centroid of one 90° ring segment from the axis.

    ``∫ρ² cos φ dρ dφ / ∫ρ dρ dφ`` over one segment.
    """
    inner, outer = detector.inner, detector.outer
    return float(2 / 3 * (outer**3 - inner**3) / (outer**2 - inner**2) * np.sin(np.pi / 4) / (np.pi / 4))


def segments_to_moment(segments: Array, detector: Segmented, convergence: float) -> tuple[Array, Array]:
    """Deflection (mrad) along x and y from four segment images (4, nx, ny), for a probe of ``convergence`` mrad.

    Every segment is taken to hold its intensity at its centroid (Lazić et al., Ultramicroscopy 160, 265, 2016). That
    underestimates a deflection; it is divided by its response to a small rigid shift of the uniform bright disc, so
    that the scale is that of the centre of mass for slowly varying phases.
    """
    vectors = segment_directions(detector) * (segment_radius(detector) / shift_response(detector, convergence))
    x, y = (np.tensordot(vectors[:, axis], segments, axes=1) for axis in (0, 1))
    return x, y


def shift_response(detector: Segmented, convergence: float) -> float:
    """Centroid deflection of four segments per unit shift of the bright disc of radius ``convergence`` (mrad).

    Only the rim of the disc changes: ``r/(πα) Σ_i e_i·∫_i n dφ`` per axis with segment centroids ``r e_i``, which is
    ``2√2 r/πα``. A detector that does not reach over the rim has no such response and is left as it is (1).
    """
    if not detector.inner < convergence <= detector.outer * (1 + 1e-6):
        return 1.0
    return float(2 * np.sqrt(2) * segment_radius(detector) / (np.pi * convergence))
