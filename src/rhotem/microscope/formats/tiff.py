"""TIFF files of images: 32-bit, pixel size where ImageJ and HyperSpy look for it."""

import json
from pathlib import Path

import numpy as np

from rhotem.microscope.formats.signal import Signal


def write_tiff(signal: Signal, path: Path) -> None:
    """The first row is the top of the picture."""
    import tifffile

    data, (y, x) = signal.in_rows()
    tifffile.imwrite(
        path,
        data.astype(np.float32),
        imagej=True,
        resolution=(1 / x.step, 1 / y.step),
        metadata={"unit": "angstrom", "Labels": [signal.name], "Info": json.dumps(signal.said)},
    )
