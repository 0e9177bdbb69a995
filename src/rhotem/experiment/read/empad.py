"""EMPAD: .xml with its .raw, or a .raw alone."""

import re
from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.rosetta import read_rosetta
from rhotem.experiment.read.signal import FileAxis, Signal

#: Rows of pixels, rows in the file (the last two hold no picture), and columns.
ROWS, STORED, COLUMNS = 128, 130, 128


def read_empad(path: Path) -> list[Signal]:
    """Patterns of a scan whose .xml says how it went."""
    return read_rosetta(path, "empad")


def read_empad_raw(path: Path) -> list[Signal]:
    """Patterns of a .raw file: one after another, or as many per line as its name says (scan_x256_y256.raw).

    Raises
    ------
    InputError
        If its size is not that of whole frames.
    """
    size = path.stat().st_size
    frames, rest = divmod(size, 4 * STORED * COLUMNS)
    if rest or not frames:
        raise InputError(
            f"{path}: {size} bytes are no whole number of EMPAD frames ({STORED} × {COLUMNS} × 4 bytes); "
            "truncated, or raw data of another detector (save them as .npy)"
        )
    data = np.fromfile(path, "<f4").reshape(frames, STORED, COLUMNS)[:, :ROWS]
    named = re.search(r"x(\d+)_y(\d+)", path.stem)
    scan = (int(named[2]), int(named[1])) if named else (0, 0)
    if named and scan[0] * scan[1] != frames:
        raise InputError(f"{path}: its name says {scan[0]} × {scan[1]} patterns, it holds {frames}; truncated?")
    shape = scan if named else (frames,)
    axes = (FileAxis(scanned=True),) * len(shape) + (FileAxis(), FileAxis())
    return [Signal(data.reshape(*shape, ROWS, COLUMNS), axes, diffraction=True)]
