"""A camera that sees the mean over all positions of the probe."""

from typing import ClassVar, Literal

from pydantic import Field

from rhotem.microscope.detectors.base import DetectorBase


class PositionAveraged(DetectorBase):
    """Position-averaged diffraction pattern (PACBED), up to ``outer`` mrad; nothing is kept for single positions."""

    written: ClassVar[tuple[str, ...]] = ("pacbed",)
    averaged: ClassVar[bool] = True

    kind: Literal["pacbed"] = "pacbed"
    name: Literal["PACBED"] = "PACBED"
    outer: float = Field(60.0, gt=0, lt=1000)
