"""Annular detectors whose sensitivity was measured."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy.typing as npt
from pydantic import Field

from rhotem.microscope.detectors.base import Channel, Ring
from rhotem.microscope.detectors.sensitivity import Sensitivity
from rhotem.microscope.instrument import Microscope

if TYPE_CHECKING:
    from rhotem.microscope.scan import Scan

Array = npt.NDArray[Any]


class Mapped(Ring):
    """Annular detector with a map: the fraction of the beam, every electron weighed by where it lands.

    The sensitivity is relative, 1 on the average of the ring: hole, shadow and unevenness change the picture, not the
    gain.

    Parameters
    ----------
    name, inner, outer
        As those of an annular detector.
    map : str
        File of the map (`rhotem.microscope.detectors.sensitivity.Sensitivity`).
    centre : (float, float) or None
        Pixel (row, column) of the axis.
    mrad_per_pixel : float or None
    rotation : float
        Degrees.
    """

    written: ClassVar[tuple[str, ...]] = ("",)  # from a file of settings only

    kind: Literal["mapped"] = "mapped"
    map: str
    centre: tuple[float, float] | None = None
    mrad_per_pixel: float | None = Field(None, gt=0)
    rotation: float = 0.0

    @property
    def sensitivity(self) -> Sensitivity:
        """The map on the ring."""
        return Sensitivity(self.map, self.inner, self.outer, self.centre, self.mrad_per_pixel, self.rotation)

    def channels(self) -> list[Channel]:
        """The ring, and its weighed electrons."""
        plain = Channel(self.name, self.region())
        return [plain, Channel(f"{self.name}η", self.region(), "η", self.sensitivity)]

    def read_out(self) -> list[str]:
        """What the electrons give, not their number."""
        return [f"{self.name}η"]

    def images(self, signals: Mapping[str, Array], scan: "Scan", microscope: Microscope) -> dict[str, Array]:
        """The weighed fraction of the beam."""
        return {self.name: signals[f"{self.name}η"]}

    def remarks(self, microscope: Microscope) -> dict[str, Any]:
        """How uneven the map is."""
        return {"sensitivity": {self.name: self.sensitivity.record()}}
