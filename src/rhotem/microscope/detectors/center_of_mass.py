"""The first moment of the diffraction pattern."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy.typing as npt
from pydantic import Field

from rhotem.microscope.detectors.base import Channel, DetectorBase, Region
from rhotem.microscope.instrument import Microscope

if TYPE_CHECKING:
    from rhotem.microscope.scan import Scan

Array = npt.NDArray[Any]


class CenterOfMass(DetectorBase):
    """First moment of the diffraction pattern (4D-STEM): images ``CoMx``, ``CoMy`` in mrad, ``iCoM`` in rad.

    ``outer`` is the largest detected angle in mrad.
    """

    units: ClassVar[Mapping[str, str]] = {"iCoM": "rad", "CoMx": "mrad", "CoMy": "mrad"}
    written: ClassVar[tuple[str, ...]] = ("com", "icom")

    kind: Literal["com"] = "com"
    name: str = ""
    outer: float = Field(60.0, gt=0)

    def image_names(self) -> list[str]:
        """``CoMx``, ``CoMy`` and ``iCoM`` behind the name."""
        return [self.name + suffix for suffix in ("CoMx", "CoMy", "iCoM")]

    def channels(self) -> list[Channel]:
        """Intensity within the angle, and its two first moments."""
        return [Channel(f"{self.name}CoM{role}", Region(0.0, self.outer), role) for role in ("", "x", "y")]

    def read_out(self) -> list[str]:
        """None: a camera counts electrons."""
        return []

    def images(self, signals: Mapping[str, Array], scan: "Scan", microscope: Microscope) -> dict[str, Array]:
        """Deflections, and the phase whose gradient they are."""
        from rhotem.microscope.signals import phase_image

        x, y = signals[f"{self.name}CoMx"], signals[f"{self.name}CoMy"]
        phase = phase_image(x, y, scan, microscope.wavelength)
        return {f"{self.name}CoMx": x, f"{self.name}CoMy": y, f"{self.name}iCoM": phase}
