"""MRC: Å per pixel, or nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.read.rosetta import look_up, number, read_rosetta
from rhotem.experiment.read.signal import Signal

#: Bytes of a pixel by the mode in the header.
BYTES = {0: 1, 1: 2, 2: 4, 3: 4, 4: 8, 6: 2, 12: 2}
#: What IMOD writes where it says whether bytes have a sign, and the version of MRC from which they have.
IMOD, SIGNED_SINCE = 1146047817, 20140
UPSIDE = "MRC does not say whether its first row is the top, as here, or the bottom, as IMOD shows it: --flip for that"


def is_unmarked(head: bytes) -> bool:
    """Whether the first bytes can be a header of the years before its word MAP."""
    sizes = np.frombuffer(head[:16].ljust(16, b"\0"), "<u4")
    return len(head) == 1024 and bool(((sizes[:3] > 0) & (sizes[:3] < 2**17)).all()) and int(sizes[3]) in BYTES


def read_mrc(path: Path) -> list[Signal]:
    """Picture or stack.

    Raises
    ------
    InputError
        If the file is shorter than its header says, its byte order is not that of today's machines, or its axes are
        not columns, rows and frames in that order.
    """
    with open(path, "rb") as stream:
        head = np.frombuffer(stream.read(1024).ljust(1024, b"\0"), "<u4")
    columns, rows, frames, mode, extended = (int(head[i]) for i in (0, 1, 2, 3, 23))
    if mode not in BYTES and int(head[3:4].byteswap()[0]) in BYTES:
        raise InputError(f"{path}: MRC with the high byte first; convert it to today's byte order")
    if mode not in BYTES:
        raise InputError(f"{path}: MRC of mode {mode} is not known; convert it to mode 2 (32-bit)")
    order = head[16:19].tolist()
    if sorted(order) == [1, 2, 3] and order != [1, 2, 3]:
        raise InputError(f"{path}: MRC whose columns, rows, frames are axes {order} of the specimen; expected 1, 2, 3")
    wanted = 1024 + extended + columns * rows * frames * BYTES[mode]
    if path.stat().st_size < wanted:
        raise InputError(f"{path}: truncated, {path.stat().st_size} of {wanted} bytes are there")
    signals = [_direct_electron(_strict(signal)) for signal in read_rosetta(path, "mrc")]
    return [_bytes(signal, head) for signal in signals] if mode == 0 else signals


def _bytes(signal: Signal, head: npt.NDArray[np.uint32]) -> Signal:
    """Bytes with the sign that the file says, or its version: RosettaSciIO takes none to have one."""
    if int(head[38]) == IMOD:
        signed = bool(head[39] & 1)
    else:
        signed = int(head[27]) >= SIGNED_SINCE
        sign = "-128 to 127, as MRC2014 has it" if signed else "0 to 255, as before MRC2014"
        signal = replace(signal, remarks=(*signal.remarks, f"bytes taken for {sign}"))
    return replace(signal, data=signal.data.view(np.int8)) if signed else signal


def _direct_electron(signal: Signal) -> Signal:
    """With the pixel of the info file beside a movie of Direct Electron, and without claims that it does not make.

    RosettaSciIO takes a pixel of 1 nm where a scan is recorded, an angle's unit for known that the file does not
    state, and numbers of the converter for electrons.
    """
    said = look_up(signal.metadata["original_metadata"], "de_metadata")
    if said is None:
        return signal
    axes = []
    for axis in signal.axes:
        scale = number(said.get(f"Specimen Pixel Size {axis.name.upper()} (nanometers)")) if axis.unit == "nm" else 0.0
        axes.append(replace(axis, unit="nm" if scale > 0 else "", scale=scale if scale > 0 else None))
    gain = number(said.get("ADUs Per Electron Bin1x"))
    remark = f"the info file says {gain:g} numbers for one electron" if gain > 0 else "the info file says no gain"
    return replace(
        signal,
        axes=tuple(axes),
        diffraction=True if axes[-1].name == "kx" else signal.diffraction,
        counts=None,
        remarks=(*signal.remarks, f"{remark}: values are as stored"),
    )


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
