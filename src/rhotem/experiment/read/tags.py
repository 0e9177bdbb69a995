"""What ImageJ, OME, FEI, Zeiss, TVIPS, Olympus and DigitalMicrograph write into a TIFF: its scale and settings."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.dimensions import dimension

#: Size of a pixel down and right, its unit, and settings.
Scale = tuple[float | None, float | None, str, dict[str, float]]
#: Centimetres of the unit of a resolution by its number in TIFF.
RESOLUTIONS = {2: 2.54, 3: 1.0}
#: A pixel of fewer Å than a printer's or a screen's.
PRINTED = 1e4


def _inner(tree: Mapping[str, Any], *names: str) -> float | None:
    value: Any = tree
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _fei(tiff: Any, page: Any) -> Scale | None:
    said = tiff.fei_metadata
    if not said:
        return None
    places = {
        "energy_keV": ("Beam", "HV", 1e-3),
        "dwell_us": ("Scan", "Dwelltime", 1e6),
        "current_pA": ("EBeam", "BeamCurrent", 1e12),
    }
    settings = {k: v * size for k, (a, b, size) in places.items() if (v := _inner(said, a, b)) is not None}
    settings["dwell_us"] = settings.get("dwell_us", 0.0) * _passes(said)
    return _inner(said, "Scan", "PixelHeight"), _inner(said, "Scan", "PixelWidth"), "m", settings


def _passes(said: Mapping[str, Any]) -> float:
    """How often the beam went over the specimen for one picture of FEI: frames that were averaged, or added."""
    blocks, ways = ("Scan", "EScan", "Image"), ("Average", "Integrate")
    return max(1.0, *(_inner(said, block, way) or 1.0 for block in blocks for way in ways))


def _zeiss(tiff: Any, page: Any) -> Scale | None:
    said = tiff.sem_metadata
    if not said:
        return None
    settings = {}
    places = {"energy_keV": ("ap_actualkv", 1.0), "current_pA": ("ap_iprobe", 1.0)}
    units = {"A": 1e12, "nA": 1e3, "pA": 1.0, "kV": 1.0, "V": 1e-3}
    for key, (name, size) in places.items():
        entry = said.get(name)
        if entry and len(entry) > 2 and entry[2] in units:
            settings[key] = float(entry[1]) * units[entry[2]] * size
    for name in ("ap_image_pixel_size", "ap_pixel_size"):
        entry = said.get(name)
        if entry and len(entry) > 2:
            return float(entry[1]), float(entry[1]), str(entry[2]), settings
    # of a screen 1024 pixels wide
    pixel = float(said[""][3]) * 1024 / page.imagewidth
    return pixel, pixel, "m", settings


def _tvips(tiff: Any, page: Any) -> Scale | None:
    said = tiff.tvips_metadata
    if not said:
        return None
    settings = {"energy_keV": (_inner(said, "TemHighTension") or 0.0) * 1e-3}
    settings["dwell_us"] = (_inner(said, "ExposureTime") or 0.0) * 1e3
    return _inner(said, "PixelSizeY"), _inner(said, "PixelSizeX"), "nm", settings


def _olympus(tiff: Any, page: Any) -> Scale | None:
    said = tiff.sis_metadata
    return (_inner(said, "pixelsizey"), _inner(said, "pixelsizex"), "m", {}) if said else None


def _digital_micrograph(tiff: Any, page: Any) -> Scale | None:
    right, down, unit = (page.tags.valueof(code) for code in (65009, 65010, 65003))
    if right is None or down is None:
        return None
    unit = unit.decode("latin-1") if isinstance(unit, bytes) else str(unit or "")
    return float(down), float(right), unit.strip("\0"), {}


def _ome(tiff: Any, page: Any) -> Scale | None:
    if not tiff.ome_metadata:
        return None
    pixels = next((e for e in ET.fromstring(tiff.ome_metadata).iter() if e.tag.endswith("}Pixels")), None)
    if pixels is None or "PhysicalSizeX" not in pixels.attrib:
        return None
    unit = pixels.get("PhysicalSizeXUnit", "µm")
    right = float(pixels.attrib["PhysicalSizeX"])
    known, other = dimension(unit), dimension(pixels.get("PhysicalSizeYUnit", "µm"))
    if "PhysicalSizeY" not in pixels.attrib or not known or not other or known[0] != other[0]:
        return (right if "PhysicalSizeY" not in pixels.attrib else None), right, unit, {}
    return float(pixels.attrib["PhysicalSizeY"]) * other[1] / known[1], right, unit, {}


def _imagej(tiff: Any, page: Any) -> Scale | None:
    said = tiff.imagej_metadata or {}
    right, down = (page.tags.valueof(name) for name in ("XResolution", "YResolution"))
    unit, other = (_written(said.get(name, "")) for name in ("unit", "yunit"))
    if not unit or unit.startswith("pixel") or not right or not down or 0 in (*right, *down):
        return None
    across, along = (dimension(one) for one in (other or unit, unit))
    if other and other != unit and (not across or not along or across[0] != along[0]):
        return None, None, f"{unit}, {other}", {}
    size = across[1] / along[1] if across and along else 1.0
    return down[1] / down[0] * size, right[1] / right[0], unit, {}


def _written(unit: Any) -> str:
    """A unit with its letters: as four digits after a backslash and u, or as bytes of UTF-8 read one by one."""
    text = str(unit)
    try:
        return (
            text.encode("latin-1").decode("unicode_escape") if "\\u" in text else text.encode("latin-1").decode("utf-8")
        )
    except UnicodeError:
        return text


def signed_by_imagej(tiff: Any, data: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], list[str]]:
    """Values below zero that ImageJ stores as 16 bits without sign and a line through -32768."""
    said = tiff.imagej_metadata or {}
    try:
        line = int(said.get("cf", -1)), float(said.get("c0", 0.0)), float(said.get("c1", 0.0))
    except (TypeError, ValueError):
        return data, []
    if data.dtype.kind != "u" or data.dtype.itemsize != 2 or line != (0, -32768.0, 1.0):
        return data, []
    return (data.astype(np.int32) - 32768).astype(np.int16), ["16 bits with sign, as ImageJ's calibration says"]


def resolution(page: Any) -> list[str]:
    """A remark on a resolution without a unit of a specimen: for printing, or perhaps the pixel of a microscope."""
    across = page.tags.valueof("XResolution")
    if across in (None, (1, 1), (72, 1)) or 0 in across:
        return []
    # Å of one pixel
    pixel = 1e8 * RESOLUTIONS.get(int(page.tags.valueof("ResolutionUnit") or 2), np.inf) * across[1] / across[0]
    if pixel < PRINTED:
        return [f"the TIFF's resolution would be a pixel of {pixel:.5g} Å and is not believed; say it if it is right"]
    return ["the resolution that the TIFF states is one for printing and is not taken for a pixel size"]


#: In the order in which they are believed.
SCALES: tuple[Callable[[Any, Any], Scale | None], ...] = (
    _fei,
    _zeiss,
    _tvips,
    _olympus,
    _digital_micrograph,
    _ome,
    _imagej,
)
