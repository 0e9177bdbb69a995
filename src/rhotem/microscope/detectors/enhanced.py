"""Enhanced annular bright field: a ring less the disc inside it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy.typing as npt
from pydantic import Field

from rhotem.microscope.detectors.base import Channel, Region, Ring
from rhotem.microscope.instrument import Microscope

if TYPE_CHECKING:
    from rhotem.microscope.scan import Scan

Array = npt.NDArray[Any]


class Enhanced(Ring):
    """Enhanced ABF: the fraction of the beam on a ring less ``weight`` times that on the disc inside it.

    Light columns that are dark in ABF are bright in the disc, so the difference has more contrast than either (Findlay
    et al., Ultramicroscopy 136, 31, 2014). Electrons of both are counted, so the difference is noisier.
    """

    written: ClassVar[tuple[str, ...]] = ("eabf",)

    kind: Literal["enhanced"] = "enhanced"
    name: str = "eABF"
    inner: float = Field(gt=0)
    weight: float = Field(1.0, gt=0)

    @classmethod
    def parsed(cls, name: str, inner: float, outer: float, **more: float) -> Self:
        """That written as ``eABF=11-22``."""
        return cls(name=name, inner=inner, outer=outer, **more)

    def channels(self) -> list[Channel]:
        """The ring and the disc."""
        disc = Region(0.0, self.inner, self.edges == "hard")
        return [Channel(f"{self.name} ring", self.region()), Channel(f"{self.name} disc", disc)]

    def images(self, signals: Mapping[str, Array], scan: "Scan", microscope: Microscope) -> dict[str, Array]:
        """Their difference."""
        return {self.name: signals[f"{self.name} ring"] - self.weight * signals[f"{self.name} disc"]}
