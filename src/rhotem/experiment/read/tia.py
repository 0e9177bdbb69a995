"""TIA .ser and .emi; a series alone has no settings and no unit."""

import re
from dataclasses import replace
from pathlib import Path

from rhotem.core import InputError
from rhotem.experiment.read.rosetta import read_rosetta
from rhotem.experiment.read.signal import FileAxis, Signal

#: TIA writes metres and reciprocal metres alike. A pixel of an image is at most this many metres, one of a pattern at
#: least that many reciprocal metres; what lies between (1.0 of an uncalibrated camera) is no scale.
LARGEST, LEAST = 1e-4, 1e4


def read_tia(path: Path) -> list[Signal]:
    """Recordings of a series, or of all series that belong to an .emi file."""
    if path.suffix.lower() == ".emi" and set(path.stem) & set("[]?*"):
        raise InputError(f"{path}: its series are not found with brackets in the name; rename both, or read the .ser")
    signals = [_with_unit(signal) for signal in read_rosetta(path, "tia")]
    if not signals:
        stems = sorted(file.stem for file in path.parent.glob("*.ser"))
        for stem in (stem for stem in stems if re.fullmatch(r"_\d\d+", stem.removeprefix(path.stem))):
            raise InputError(f"{path}: its series {stem}.ser is not found through it; read that file")
        raise InputError(f"{path}: no data with it; put {path.stem}_1.ser beside it")
    return signals


def _with_unit(signal: Signal) -> Signal:
    axes = tuple(_reciprocal(axis) for axis in signal.axes)
    return replace(signal, axes=axes, diffraction=True if axes[-1].unit == "1/m" else signal.diffraction)


def _reciprocal(axis: FileAxis) -> FileAxis:
    """An axis whose "nm" are what became of 1/m, or of no scale."""
    if axis.unit != "nm" or axis.scale is None or abs(axis.scale) <= 1e9 * LARGEST:
        return axis
    written = axis.scale * 1e-9
    return replace(axis, unit="1/m", scale=written) if abs(written) >= LEAST else replace(axis, unit="", scale=None)
