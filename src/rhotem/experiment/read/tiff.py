"""TIFF: pages as grey pictures, the top row first and bright values high."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.grey import grey
from rhotem.experiment.read.rosetta import heard, read_rosetta
from rhotem.experiment.read.signal import FileAxis, Signal
from rhotem.experiment.read.tags import SCALES, resolution, signed_by_imagej

#: Photometric interpretations whose values are light.
LIGHT = ("MINISBLACK", "MINISWHITE", "RGB")


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
    if page.photometric.name not in LIGHT:
        raise InputError(f"{path}: a colour picture ({page.photometric.name}); save the grey values of the detector")
    data = _values(series, path)
    planes = "S" in series.axes and not series.axes.endswith("S")
    if planes:  # of colours one after another
        data = np.moveaxis(data, series.axes.index("S"), -1)
    try:
        data = grey(data, path)
    except InputError as error:
        how = "; frames of a stack? write them with photometric='minisblack'" if planes else ""
        raise InputError(f"{error}{how}") from None
    down, right, unit, settings = next((s for read in SCALES if (s := read(tiff, page))), (None, None, "", {}))
    stacked = tuple(FileAxis(scanned=True) for _ in range(data.ndim - 2))
    data, remarks = _as_seen(data, page, path)
    if int(page.tags.valueof("Orientation") or 1) > 4:
        down, right = right, down
    data, signed = signed_by_imagej(tiff, data)
    remarks += signed
    if down is None and not unit:
        remarks += resolution(page)
    if "C" in series.axes:
        number = series.shape[series.axes.index("C")]
        remarks.append(f"its {number} channels are taken for frames; if they are detectors, save each alone")
    if data.dtype == np.uint8:
        remarks.append("8-bit picture: contrast and gamma are not known")
    return Signal(
        data,
        (*stacked, FileAxis("y", unit, down), FileAxis("x", unit, right)),
        title=series.name,
        settings={key: value for key, value in settings.items() if value > 0},
        camera=bool(tiff.tvips_metadata),
        metadata={"tags": {str(tag.name): tag.value for tag in page.tags if tag.count < 2**16}},
        remarks=tuple(remarks),
    )


def _values(series: Any, path: Path) -> Any:
    """Numbers of all pages; those that tifffile alone cannot unpack (LZW, JPEG, PackBits) by Pillow."""
    try:
        return series.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    pages = [] if _turned_by_pillow(series.keyframe) else _pages_by_pillow(path, [page.index for page in series.pages])
    if sum(page.size for page in pages) != np.prod(series.shape):
        name = series.keyframe.compression.name
        raise InputError(f"{path}: compressed by {name}; pip install imagecodecs, or save it uncompressed")
    return np.stack(pages).reshape(series.shape)


def _turned_by_pillow(page: Any) -> bool:
    """Whether Pillow would do by itself what `_as_seen` does."""
    return page.photometric.name == "MINISWHITE" or page.tags.valueof("Orientation") not in (None, 1)


def _pages_by_pillow(path: Path, numbers: list[int]) -> list[Any]:
    from PIL import Image

    pages = []
    try:
        with Image.open(path) as picture:
            for number in numbers:
                picture.seek(number)
                pages.append(np.asarray(picture))
    except (OSError, ValueError, EOFError):
        return []
    return pages


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
        if data.dtype.kind not in "ub":
            raise InputError(f"{path}: TIFF in which white is the least value, of type {data.dtype}; save it unsigned")
        data = ~data if data.dtype.kind == "b" else data.dtype.type(2**page.bitspersample - 1) - data
        remarks.append("white is zero in the TIFF: values turned around")
    return data, remarks
