"""PNG, JPEG and BMP: grey values of a display."""

from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.grey import grey
from rhotem.experiment.read.signal import FileAxis, Signal

#: Tag of Exif: which side of the picture the first row is.
ORIENTATION = 0x112
#: Modes of Pillow whose channels are not light.
INKS = ("CMYK", "LAB", "HSV")


def read_picture(path: Path) -> list[Signal]:
    """The grey values; three equal channels are one.

    Raises
    ------
    InputError
        If it is truncated or in colour.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            kind, mode, orientation = picture.format, picture.mode, picture.getexif().get(ORIENTATION, 1)
            frames = getattr(picture, "n_frames", 1)
            if mode in INKS:
                raise InputError(f"{path}: a picture of printing inks or Lab colours ({mode}); save its grey values")
            upright = ImageOps.exif_transpose(picture)
            data = np.asarray(upright.convert("RGBA" if mode in ("P", "PA") else None))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a picture, truncated or damaged ({error})") from None
    values = grey(data.astype(np.uint8) if data.dtype == bool else data, path)
    remarks = [f"the first of {frames} pictures"] if frames > 1 else []
    if orientation != 1:
        remarks.append(f"turned upright by the picture's orientation {orientation}")
    if values.dtype == np.uint8:
        remarks.append("8-bit picture: grey values of a display, not counts; contrast and gamma are not known")
    if kind == "JPEG":
        remarks.append("JPEG: lossy, blocks of 8 × 8 pixels")
    # 8 bits without loss may be electrons that a program counted
    counts = False if kind == "JPEG" else None
    return [Signal(values, (FileAxis(), FileAxis()), counts=counts, remarks=tuple(remarks))]
