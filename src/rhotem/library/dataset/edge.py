"""The edge of a specimen in a picture: vacuum beyond a straight line, a thin wedge before it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.detectors import weight
from rhotem.microscope.detectors.base import Channel
from rhotem.microscope.instrument import Microscope

Floats = npt.NDArray[np.float64]

#: Rings of equal area, and points of each, by which what lies within aperture and detector is looked at.
RINGS, POINTS = 8, 720
#: Pixels (1/Å) so small that edges of detectors are sharp, and no smaller: their areas are differences.
SHARP = (1e-5, 1e-5)


def specimen(pixels: int, settings: dict[str, Any]) -> Floats | None:
    """Part of the specimen's thickness at every pixel (n, n), x first; None: all of it everywhere.

    The specimen ends at a straight line in the direction ``edge_rad``, beyond which lies the share ``vacuum`` of the
    picture, and becomes thin linearly over ``edge_A`` around it.
    """
    if not settings.get("vacuum"):
        return None
    x, y = np.meshgrid(*[np.arange(pixels) - 0.5 * (pixels - 1)] * 2, indexing="ij")
    along = settings["pixel_A"] * (np.cos(settings["edge_rad"]) * x + np.sin(settings["edge_rad"]) * y)
    ends = np.quantile(along, 1.0 - settings["vacuum"])
    return np.clip(0.5 - (along - ends) / max(settings["edge_A"], settings["pixel_A"]), 0.0, 1.0)


def in_vacuum(channels: list[Channel], microscope: Microscope) -> Floats:
    """Fractions of the beam (channels,) that they see without specimen: of an evenly filled aperture."""
    angle = 2 * np.pi * (np.arange(POINTS) + 0.5) / POINTS
    parts = (np.arange(RINGS) + 0.5) / RINGS
    seen = np.zeros(len(channels))
    for number, channel in enumerate(channels):
        inner, outer = (min(edge, microscope.convergence) ** 2 for edge in (channel.region.inner, channel.region.outer))
        radius = 1e-3 / microscope.wavelength * np.sqrt(inner + parts * (outer - inner))
        kx, ky = (np.outer(radius, wave(angle)).ravel() for wave in (np.cos, np.sin))
        share = (outer - inner) / microscope.convergence**2
        seen[number] = share * weight(channel, kx, ky, microscope.wavelength, SHARP).mean()
    return seen


def thinned(expected: Floats, there: Floats | None, channels: list[Channel], microscope: Microscope) -> Floats:
    """Signals (channels, n, n) of a specimen that is ``there`` in part: linear in thickness, as of a thin one."""
    if there is None:
        return expected
    empty = in_vacuum(channels, microscope)[:, None, None]
    return np.asarray((1.0 - there) * empty + there * expected)
