"""Pixelated detectors."""

from typing import ClassVar, Literal

from pydantic import Field

from rhotem.microscope.detectors.base import DetectorBase


class Pixelated(DetectorBase):
    """Pixelated detector: a diffraction pattern for every probe position, up to ``outer`` mrad."""

    written: ClassVar[tuple[str, ...]] = ("4d",)
    patterns: ClassVar[bool] = True

    kind: Literal["pixelated"] = "pixelated"
    name: str = "4D"
    outer: float = Field(44.0, gt=0)
