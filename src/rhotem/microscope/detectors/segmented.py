"""Segments of a ring: differential phase contrast, its integration and its divergence."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from rhotem.microscope.detectors.base import Channel, Ring
from rhotem.microscope.instrument import Microscope

if TYPE_CHECKING:
    from rhotem.microscope.scan import Scan

Array = npt.NDArray[Any]


class Segmented(Ring):
    """Ring of four, eight or sixteen segments: differential phase contrast, iDPC and dDPC.

    Segments are centred on the directions ``rotation + 0°, 360°/n, 2·360°/n, ...`` from +x, each 360°/n wide.

    Parameters
    ----------
    name : str
        Prefix of the images; ``""`` gives ``iDPC``, ``dDPC``, ``DPCx``, ``DPCy``.
    inner, outer : float
        Angles in mrad.
    segments : 4, 8 or 16
    rotation : float
        Azimuth of the first segment in degrees.
    each : bool
        Also the images of the segments themselves, ``segment0``, ``segment1``, ..., as fractions of the beam.
    """

    units: ClassVar[Mapping[str, str]] = {"iDPC": "rad", "dDPC": "mrad/Å", "DPCx": "mrad", "DPCy": "mrad"}
    written: ClassVar[tuple[str, ...]] = (
        *("dpc", "idpc", "ddpc", "dpc4", "dpc8", "dpc16"),
        *("seg4", "seg8", "seg16"),
    )

    kind: Literal["segmented"] = "segmented"
    name: str = ""
    segments: Literal[4, 8, 16] = 4
    rotation: float = 0.0
    each: bool = False

    @classmethod
    def parsed(cls, name: str, inner: float, outer: float, **more: float) -> Self:
        """``DPC8=6-22``: eight segments; ``SEG16=0-30``: also the images of the sixteen."""
        number = re.search(r"\d+$", name)
        return cls(
            inner=inner,
            outer=outer,
            segments=int(number[0]) if number else 4,
            each=name.lower().startswith("seg"),
            **more,
        )

    def image_names(self) -> list[str]:
        """``iDPC``, ``dDPC``, ``DPCx`` and ``DPCy`` behind the name, and those of the segments if they are shown."""
        shown = [channel.name for channel in self.channels()] if self.each else []
        return [*(self.name + suffix for suffix in ("iDPC", "dDPC", "DPCx", "DPCy")), *shown]

    def channels(self) -> list[Channel]:
        """The segments: quadrants, or what several quadrants have in common."""
        width = 360.0 / self.segments
        turned = [(i - (90.0 / width - 1) / 2) * width for i in range(self.segments // 4)]
        return [
            Channel(f"{self.name}segment{i}", self.region(*(self.rotation + width * i + turn for turn in turned)))
            for i in range(self.segments)
        ]

    def images(self, signals: Mapping[str, Array], scan: "Scan", microscope: Microscope) -> dict[str, Array]:
        """Deflections, the phase whose gradient they are, and their divergence."""
        from rhotem.microscope.signals import divergence, phase_image

        names = [channel.name for channel in self.channels()]
        segments = np.stack([signals[name] for name in names])
        x, y = segments_to_moment(segments, self, microscope.convergence)
        return {
            f"{self.name}iDPC": phase_image(x, y, scan, microscope.wavelength),
            f"{self.name}dDPC": divergence(x, y, scan),
            f"{self.name}DPCx": x,
            f"{self.name}DPCy": y,
            **({name: signals[name] for name in names} if self.each else {}),
        }

    def remarks(self, microscope: Microscope) -> dict[str, Any]:
        """How high iDPC shows atoms, in units of iCoM."""
        from rhotem.microscope.transfer import height_of_atoms

        return {"idpc_over_icom": {f"{self.name}iDPC": height_of_atoms(self, microscope)}}


def segment_directions(detector: Segmented) -> Array:
    """Unit vectors (n, 2) of the segments' middles."""
    angles = np.deg2rad(detector.rotation + 360.0 / detector.segments * np.arange(detector.segments))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def segment_radius(detector: Segmented) -> float:
    """Distance in mrad of the centroid of one ring segment from the axis.

    ``∫ρ² cos φ dρ dφ / ∫ρ dρ dφ`` over one of n segments.
    """
    inner, outer, half = detector.inner, detector.outer, np.pi / detector.segments
    return float(2 / 3 * (outer**3 - inner**3) / (outer**2 - inner**2) * np.sin(half) / half)


def segments_to_moment(segments: Array, detector: Segmented, convergence: float) -> tuple[Array, Array]:
    """Deflection (mrad) along x and y from segment images (n, nx, ny), for a probe of ``convergence`` mrad.

    Every segment is taken to hold its intensity at its centroid (Lazić et al., Ultramicroscopy 160, 265, 2016). That
    underestimates a deflection; it is divided by its response to a small rigid shift of the uniform bright disc, so
    that the scale is that of the centre of mass for slowly varying phases.
    """
    vectors = segment_directions(detector) * (segment_radius(detector) / shift_response(detector, convergence))
    x, y = (np.tensordot(vectors[:, axis], segments, axes=1) for axis in (0, 1))
    return x, y


def shift_response(detector: Segmented, convergence: float) -> float:
    """Centroid deflection of the segments per unit shift of the bright disc of radius ``convergence`` (mrad).

    Only the rim of the disc changes: ``r/(πα) Σ_i e_i·∫_i n dφ`` per axis with segment centroids ``r e_i``, which is
    ``n sin(π/n) r/πα`` for n segments. A detector that does not reach over the rim has no such response and is left as
    it is (1).
    """
    if not detector.inner < convergence <= detector.outer * (1 + 1e-6):
        return 1.0
    number = detector.segments
    return float(number * np.sin(np.pi / number) * segment_radius(detector) / (np.pi * convergence))
