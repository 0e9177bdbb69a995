"""Segments of a ring: differential phase contrast, its integration and its divergence."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from rhotem.microscope.detectors.base import Channel, Ring
from rhotem.microscope.detectors.segments import segments_to_moment
from rhotem.microscope.detectors.transfer import height_of_atoms
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
        return {"idpc_over_icom": {f"{self.name}iDPC": height_of_atoms(self, microscope)}}
