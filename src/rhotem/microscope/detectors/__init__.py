"""Detectors: one file for each kind, `registry` finds them all.

A new kind is one class (`rhotem.microscope.detectors.base.DetectorBase`), in a file here or anywhere that is imported:
engines, counting, images, units and the command line ask it and know no kind by name.
"""

from rhotem.microscope.detectors.annular import Annular
from rhotem.microscope.detectors.base import Channel, DetectorBase, Region
from rhotem.microscope.detectors.center_of_mass import CenterOfMass
from rhotem.microscope.detectors.core_loss import CoreLoss, edges_of
from rhotem.microscope.detectors.enhanced import Enhanced
from rhotem.microscope.detectors.mapped import Mapped
from rhotem.microscope.detectors.pixelated import Pixelated
from rhotem.microscope.detectors.planes import integral_weight, quadrant, rings_of, weight
from rhotem.microscope.detectors.position_averaged import PositionAveraged
from rhotem.microscope.detectors.registry import (
    KINDS,
    Detector,
    angles,
    channels,
    farthest_angle,
    image_names,
    largest_angle,
    parse_detector,
    sees_pixels,
    summing,
    unit,
)
from rhotem.microscope.detectors.segmented import Segmented

__all__ = [
    "KINDS",
    "Annular",
    "CenterOfMass",
    "Channel",
    "CoreLoss",
    "Detector",
    "DetectorBase",
    "Enhanced",
    "Mapped",
    "Pixelated",
    "PositionAveraged",
    "Region",
    "Segmented",
    "angles",
    "channels",
    "edges_of",
    "farthest_angle",
    "image_names",
    "integral_weight",
    "largest_angle",
    "parse_detector",
    "quadrant",
    "rings_of",
    "sees_pixels",
    "summing",
    "unit",
    "weight",
]
