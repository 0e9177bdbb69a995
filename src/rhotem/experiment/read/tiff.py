"""TIFF with the scale that ImageJ, OME, FEI, Zeiss, TVIPS, Olympus or DigitalMicrograph write into it."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.grey import grey
from rhotem.experiment.read.rosetta import heard, read_rosetta
from rhotem.experiment.read.signal import FileAxis, Signal
from rhotem.experiment.read.units import dimension

#: Size of a pixel down and right, its unit, and settings.
Scale = tuple[float | None, float | None, str, dict[str, float]]


def read_tiff(path: Path) -> list[Signal]:
    """Every series of pages."""
    import tifffile

    with heard() as remarks:
        try:
            with tifffile.TiffFile(path) as tiff:
                if tiff.pages.first.tags.valueof("Make") == "JEOL Ltd.":
                    return read_rosetta(path, "tiff")
                signals = [_signal(tiff, series, path) for series in tiff.series]
        except InputError:
            raise
        except Exception as error:  # what a damaged file makes tifffile do cannot be foreseen
            text = " ".join(str(error).split())[:120]
            raise InputError(f"{path}: cannot be read as TIFF, truncated or damaged ({text})") from None
    if remarks:
        raise InputError(f"{path}: cannot be read as TIFF, truncated or damaged ({remarks[0][:120]})")
    return signals


def _signal(tiff: Any, series: Any, path: Path) -> Signal:
    page = series.keyframe
    data = grey(series.asarray(), path)
    if page.photometric.name == "PALETTE":
        raise InputError(f"{path}: a colour picture (palette); save the grey values that the detector gave")
    down, right, unit, settings = next((s for read in SCALES if (s := read(tiff, page))), (None, None, "", {}))
    stacked = tuple(FileAxis(scanned=True) for _ in range(data.ndim - 2))
    data, remarks = _as_seen(data, page, path)
    if int(page.tags.valueof("Orientation") or 1) > 4:
        down, right = right, down
    if down is None and page.tags.valueof("XResolution") not in (None, (1, 1), (72, 1)):
        remarks.append("the resolution that the TIFF states is one for printing and is not taken for a pixel size")
    if data.dtype == np.uint8:
        remarks.append("8-bit picture: contrast and gamma are not known")
    return Signal(
        data,
        (*stacked, FileAxis("y", unit, down), FileAxis("x", unit, right)),
        title=series.name,
        settings={key: value for key, value in settings.items() if value > 0},
        metadata={"tags": {str(tag.name): tag.value for tag in page.tags if tag.count < 2**16}},
        remarks=tuple(remarks),
    )


def _as_seen(data: Any, page: Any, path: Path) -> tuple[Any, list[str]]:
    """Pictures with the top row first and bright values high, as the tags of the file say, and what was done."""
    remarks = []
    orientation = int(page.tags.valueof("Orientation") or 1)
    if orientation not in range(1, 9):
        raise InputError(f"{path}: TIFF of orientation {orientation}; save it upright")
    if orientation != 1:
        # 5 to 8: the first row is a column of the picture
        data = np.swapaxes(data, -1, -2) if orientation > 4 else data
        data = data[..., ::-1, :] if orientation in (3, 4, 7, 8) else data
        data = data[..., ::-1] if orientation in (2, 3, 6, 7) else data
        remarks.append(f"turned upright by the TIFF's orientation {orientation}")
    if page.photometric.name == "MINISWHITE":
        if data.dtype.kind != "u":
            raise InputError(f"{path}: TIFF in which white is the least value, of type {data.dtype}; save it unsigned")
        data = data.dtype.type(2**page.bitspersample - 1) - data
        remarks.append("white is zero in the TIFF: values turned around")
    return data, remarks


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
    return _inner(said, "Scan", "PixelHeight"), _inner(said, "Scan", "PixelWidth"), "m", settings


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
    said = tiff.imagej_metadata
    unit = str((said or {}).get("unit", ""))
    right, down = (page.tags.valueof(name) for name in ("XResolution", "YResolution"))
    if not unit or unit.startswith("pixel") or not right or not down:
        return None
    return down[1] / down[0], right[1] / right[0], unit.encode().decode("unicode_escape"), {}


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
