"""EMPAD: .xml with its .raw, or a .raw alone."""

import re
from dataclasses import replace
from math import isclose
from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.rosetta import read_rosetta
from rhotem.experiment.read.signal import FileAxis, Signal

#: Rows of pixels, rows in the file (the last two hold no picture), and columns.
ROWS, STORED, COLUMNS = 128, 130, 128
#: Relative difference of steps down and along rows that rounding explains.
ROUNDING = 0.01


def read_empad(path: Path) -> list[Signal]:
    """Patterns of a scan whose .xml says how it went."""
    return [_square(signal) for signal in read_rosetta(path, "empad")]


def _square(signal: Signal) -> Signal:
    """Steps of a scan, which are square: which side of an oblong scan a field of view belongs to the file does not say.

    RosettaSciIO divides two numbers by rows and columns. Divided the other way round they may be square, too.
    """
    if len(signal.axes) != 4:
        return signal
    (down, across), (rows, columns) = signal.axes[:2], signal.data.shape[:2]
    if not (down.scale and across.scale) or down.unit != across.unit:
        return signal
    if isclose(down.scale, across.scale, rel_tol=ROUNDING):
        return signal
    turned = down.scale * rows / columns
    if isclose(turned, across.scale * columns / rows, rel_tol=ROUNDING):
        scan, remark = turned, "its two fields of view are those along rows and down, which makes steps square"
    else:
        scan, remark = (
            None,
            f"steps of {down.scale:.4g} and {across.scale:.4g} {down.unit} are not taken: which side of",
        )
        remark += " the scan its field of view belongs to it does not say"
    axes = (replace(down, scale=scan), replace(across, scale=scan), *signal.axes[2:])
    return replace(signal, axes=axes, remarks=(*signal.remarks, remark))


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
