"""Annular detectors: HAADF, LAADF, ABF, BF."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy.typing as npt

from rhotem.microscope.detectors.base import Channel, Ring
from rhotem.microscope.instrument import Microscope

if TYPE_CHECKING:
    from rhotem.microscope.scan import Scan

Array = npt.NDArray[Any]


class Annular(Ring):
    """Annular detector (HAADF, LAADF, ABF, BF): the fraction of the beam between two angles in mrad.

    ``edges="hard"`` counts a pixel of the pattern fully or not at all, as abTEM does; "soft" by its covered part.
    """

    kind: Literal["annular"] = "annular"

    @classmethod
    def parsed(cls, name: str, inner: float, outer: float, **more: float) -> Self:
        """That written as ``name=inner-outer``."""
        return cls(name=name, inner=inner, outer=outer, **more)

    def channels(self) -> list[Channel]:
        """The ring."""
        return [Channel(self.name, self.region())]

    def images(self, signals: Mapping[str, Array], scan: "Scan", microscope: Microscope) -> dict[str, Array]:
        """The fraction of the beam."""
        return {self.name: signals[self.name]}
