"""TIA .ser and .emi; a series alone has no settings and no unit."""

from dataclasses import replace
from pathlib import Path

from rhotem.core import InputError
from rhotem.experiment.read.rosetta import read_rosetta
from rhotem.experiment.read.signal import FileAxis, Signal

#: Pixels above this many nm are reciprocal: TIA writes metres and reciprocal metres alike.
LARGEST = 1e5


def read_tia(path: Path) -> list[Signal]:
    """Recordings of a series, or of all series that belong to an .emi file."""
    signals = [_with_unit(signal) for signal in read_rosetta(path, "tia")]
    if not signals:
        raise InputError(f"{path}: no data with it; put {path.stem}_1.ser beside it")
    return signals


def _with_unit(signal: Signal) -> Signal:
    axes = tuple(_reciprocal(axis) for axis in signal.axes)
    if axes == signal.axes:
        return signal
    return replace(signal, axes=axes, diffraction=True)


def _reciprocal(axis: FileAxis) -> FileAxis:
    """An axis whose "nm" are what became of 1/m."""
    if axis.unit != "nm" or axis.scale is None or axis.scale < LARGEST:
        return axis
    return replace(axis, unit="1/m", scale=axis.scale * 1e-9)
