"""Merlin .mib: frames of a Medipix detector, one after another."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.rosetta import read_rosetta
from rhotem.experiment.read.signal import FileAxis, Signal

#: Bytes of a pixel by the name in the header.
BYTES = {"U08": 1, "U16": 2, "U32": 4}


def read_mib(path: Path) -> list[Signal]:
    """All frames; (scan rows, scan columns, rows, columns) where the .hdr beside says how many make a line.

    Raises
    ------
    InputError
        If the file ends within a frame, or holds raw frames of the chips.
    """
    with open(path, "rb") as stream:
        head = stream.read(384).decode("latin-1").split(",")
    try:
        length, columns, rows, kind = int(head[2]), int(head[4]), int(head[5]), head[6].strip()
    except (ValueError, IndexError):
        raise InputError(f"{path}: its header is not that of a Merlin detector (MQ1)") from None
    if kind not in BYTES:
        raise InputError(f"{path}: pixels of type {kind}; save processed frames (U08, U16 or U32) in Merlin")
    size = path.stat().st_size
    frames, rest = divmod(size, length + rows * columns * BYTES[kind])
    if rest or not frames:
        raise InputError(f"{path}: truncated, it ends within frame {frames + 1} of {rows} × {columns} pixels")
    (signal,) = read_rosetta(path, "quantumdetector", navigation_shape=(frames,))
    data = np.asarray(signal.data).reshape(frames, rows, columns)
    line = _line(path, frames)
    axes = (FileAxis(scanned=True),) * (2 if line else 1) + (FileAxis(), FileAxis())
    remarks = tuple(r for r in signal.remarks if "hdr" not in r)
    remarks += ("counts of a pixel detector: an electron can be counted in several pixels, or in none",)
    return [
        replace(
            signal,
            data=data.reshape(frames // line, line, rows, columns) if line else data,
            axes=axes,
            diffraction=True,
            counts=True,
            remarks=remarks,
        )
    ]


def _line(path: Path, frames: int) -> int:
    """Frames of a line of the scan by the .hdr file; 0 where it is not there or does not say."""
    try:
        lines = path.with_suffix(".hdr").read_text(encoding="latin-1").splitlines()
    except OSError:
        return 0
    for text in lines:
        name, _, value = text.partition("\t")
        if name.startswith("Frames per Trigger (Number)") and value.strip().isdigit():
            line = int(value)
            return line if line > 1 and frames % line == 0 else 0
    return 0
