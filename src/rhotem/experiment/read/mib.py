"""Merlin .mib: frames of a Medipix detector, one after another."""

from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.signal import FileAxis, Signal

#: Bytes of a pixel by the name in the header.
BYTES = {"U08": 1, "U16": 2, "U32": 4}
#: Bytes that hold every header.
LONGEST = 4096


def read_mib(path: Path) -> list[Signal]:
    """All frames; (scan rows, scan columns, rows, columns) where the .hdr beside says how many make a line.

    Raises
    ------
    InputError
        If the file ends within a frame, or holds raw frames of the chips.
    """
    with open(path, "rb") as stream:
        text = stream.read(LONGEST).decode("latin-1")
    try:
        length = int(text.split(",")[2])
        head = text[:length].split(",")
        columns, rows, kind = int(head[4]), int(head[5]), head[6].strip()
    except (ValueError, IndexError):
        raise InputError(f"{path}: its header is not that of a Merlin detector (MQ1)") from None
    if kind not in BYTES:
        raise InputError(f"{path}: pixels of type {kind}; save processed frames (U08, U16 or U32) in Merlin")
    size = path.stat().st_size
    frames, rest = divmod(size, length + rows * columns * BYTES[kind])
    if rest or not frames:
        raise InputError(f"{path}: truncated, it ends within frame {frames + 1} of {rows} × {columns} pixels")
    frame = np.dtype([("head", f"V{length}"), ("data", f">u{BYTES[kind]}", (rows, columns))])
    # the first row is the bottom
    data = np.memmap(path, frame, mode="r", shape=(frames,))["data"][:, ::-1].astype(f"u{BYTES[kind]}")
    line = _line(path, frames)
    exposure, date = _exposure(head), _date(head)
    return [
        Signal(
            data.reshape(frames // line, line, rows, columns) if line else data,
            (FileAxis(scanned=True),) * (2 if line else 1) + (FileAxis(), FileAxis()),
            settings={"dwell_us": exposure} if exposure else {},
            diffraction=True,
            counts=True,
            metadata={"metadata": {"General": date}, "original_metadata": {"header": head}},
            remarks=("counts of a pixel detector: an electron can be counted in several pixels, or in none",),
        )
    ]


def _exposure(head: list[str]) -> float:
    """Microseconds: of the last fields where they are there (MQ1A), else of the eleventh, in seconds; 0 of neither."""
    try:
        if "MQ1A" in head:
            return 1e-3 * float(head[head.index("MQ1A") + 2].removesuffix("ns"))
        return 1e6 * float(head[10])
    except (ValueError, IndexError):
        return 0.0


def _date(head: list[str]) -> dict[str, str]:
    """Day, hour and time zone of the first frame as HyperSpy calls them; the older field is the clock on the wall."""
    told = head[head.index("MQ1A") + 1 :] if "MQ1A" in head else head[9:]
    date, _, hour = (told[0] if told else "").strip().replace("T", " ").partition(" ")
    zone = {"time_zone": "UTC"} if hour.endswith("Z") else {}
    return {"date": date, "time": hour.removesuffix("Z"), **zone}


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
