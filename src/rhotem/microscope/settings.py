"""What an operator sets, in one place: the microscope (`instrument`) and its `detectors`."""

from rhotem.microscope.detectors import (
    Annular,
    CenterOfMass,
    Detector,
    Enhanced,
    Mapped,
    Pixelated,
    PositionAveraged,
    Segmented,
    angles,
    farthest_angle,
    image_names,
    largest_angle,
    parse_detector,
    sees_pixels,
)
from rhotem.microscope.instrument import ABERRATIONS, Microscope, Settings, parse_aberration

__all__ = [
    "ABERRATIONS",
    "Annular",
    "CenterOfMass",
    "Detector",
    "Enhanced",
    "Mapped",
    "Microscope",
    "Pixelated",
    "PositionAveraged",
    "Segmented",
    "Settings",
    "angles",
    "farthest_angle",
    "image_names",
    "largest_angle",
    "parse_aberration",
    "parse_detector",
    "sees_pixels",
]
