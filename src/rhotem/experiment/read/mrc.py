"""MRC: Å per pixel, or nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.rosetta import look_up, read_rosetta
from rhotem.experiment.read.signal import Signal

#: Bytes of a pixel by the mode in the header.
BYTES = {0: 1, 1: 2, 2: 4, 3: 4, 4: 8, 6: 2, 12: 2}
UPSIDE = "MRC does not say whether its first row is the top, as here, or the bottom, as IMOD shows it: --flip for that"


def read_mrc(path: Path) -> list[Signal]:
    """Picture or stack.

    Raises
    ------
    InputError
        If the file is shorter than its header says, or its byte order is not that of today's machines.
    """
    with open(path, "rb") as stream:
        head = np.frombuffer(stream.read(1024)[:96].ljust(96, b"\0"), "<u4")
    columns, rows, frames, mode, extended = (int(head[i]) for i in (0, 1, 2, 3, 23))
    if mode not in BYTES:
        raise InputError(f"{path}: MRC of mode {mode} is not known; convert it to mode 2 (32-bit)")
    wanted = 1024 + extended + columns * rows * frames * BYTES[mode]
    if path.stat().st_size < wanted:
        raise InputError(f"{path}: truncated, {path.stat().st_size} of {wanted} bytes are there")
    signals = read_rosetta(path, "mrc")
    return [_strict(signal) for signal in signals]


def _strict(signal: Signal) -> Signal:
    """Without the scale that the reader makes up where the header has none."""
    original = signal.metadata["original_metadata"]
    remarks = (*signal.remarks, UPSIDE)
    sampled = [look_up(original, f"std_header.{name}") for name in ("MX", "MY")]
    if look_up(original, "fei_header") is None:
        if not all(sampled):
            axes = tuple(replace(axis, scale=None) for axis in signal.axes)
            return replace(signal, axes=axes, remarks=remarks)
        if any(axis.scale == 0.1 for axis in signal.axes[-2:]):
            remarks += ("a pixel of exactly 1 Å is also what programs write that know none",)
    return replace(signal, remarks=remarks)
