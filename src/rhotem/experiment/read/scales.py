"""Axes of a recording in Å and mrad, and what kind of recording it is."""

from dataclasses import replace
from math import sqrt
from pathlib import Path

from rhotem.core import InputError
from rhotem.core.dimensions import dimension, nameless
from rhotem.core.units import wavelength
from rhotem.experiment.measurement import Axis, Kind
from rhotem.experiment.read.signal import FileAxis, Signal
from rhotem.experiment.read.stated import Stated, option

#: Units of spectra.
ENERGIES = ("ev", "kev", "mev")
#: Relative difference of a stated value and the file's that rounding explains.
ROUNDING = 0.005


def ordered(signal: Signal, path: Path) -> Signal:
    """4D data with positions first: data whose units say that patterns come first are turned around.

    Raises
    ------
    InputError
        If both axes of the pictures, or of the scan, have units of different kinds, or one is of energies.
    """
    for axis in signal.axes:  # the slowest one in spectrum images of DigitalMicrograph
        if axis.unit.strip().lower() in ENERGIES:
            raise InputError(f"{path}: spectra (an axis in {axis.unit}); save an image of them")
    sorts = [known[0] if (known := dimension(axis.unit)) else None for axis in signal.axes]
    pairs = [sorts[-2:], sorts[:2]] if signal.data.ndim == 4 else [sorts[-2:]]
    for pair in pairs:
        if None not in pair and (pair[0] == "length") != (pair[1] == "length"):
            written = " and ".join(axis.unit for axis in signal.axes)
            raise InputError(f"{path}: axes in {written}: half an image, half a pattern; put the units right")
    if signal.data.ndim != 4 or sorts[-1] != "length":
        return signal
    if sorts[0] in (None, "length"):
        raise InputError(
            f"{path}: 4D data whose pictures are in {signal.axes[-1].unit}; expected patterns in mrad or 1/nm"
        )
    remark = "patterns came first in the file: axes turned around"
    return replace(
        signal,
        data=signal.data.transpose(2, 3, 0, 1),
        axes=(*signal.axes[2:], *signal.axes[:2]),
        remarks=(*signal.remarks, remark),
    )


def kind_of(signal: Signal, stated: Stated, path: Path) -> Kind:
    """What is recorded, by what the file and the user say.

    Raises
    ------
    InputError
        If neither says it, or the number of axes fits no kind.
    """
    axes = signal.data.ndim
    if axes == 4:
        kind: Kind = "4D"
    elif axes not in (2, 3):
        shape = " × ".join(map(str, signal.data.shape))
        raise InputError(f"{path}: an array of {shape}; expected an image, a stack, a pattern or 4D data")
    elif _is_pattern(signal, stated, path):
        if axes == 3:
            frames = signal.data.shape[0]
            raise InputError(f"{path}: {frames} patterns one after another; say {option('scan')} ROWS,COLUMNS")
        kind = "pattern"
    else:
        kind = "image" if axes == 2 else "image stack"
    if stated.kind not in (None, kind):
        raise InputError(f"{path}: the file holds {_article(kind)}, {option('kind')} says {stated.kind}")
    return kind


def unread(signal: Signal) -> list[str]:
    """Units of the axes of a picture or scan that are not understood, so that their scales are not taken."""
    axes = signal.axes if signal.data.ndim == 4 else signal.axes[-2:]
    return sorted({axis.unit for axis in axes if not nameless(axis.unit) and dimension(axis.unit) is None})


def _article(kind: Kind) -> str:
    return {"4D": "4D data"}.get(kind, f"an {kind}" if kind.startswith("image") else f"a {kind}")


def _is_pattern(signal: Signal, stated: Stated, path: Path) -> bool:
    known = dimension(signal.axes[-1].unit)
    if known:
        return known[0] != "length"
    if signal.diffraction is not None:
        return signal.diffraction
    if stated.kind or stated.scan:
        return stated.kind in ("pattern", "4D") or stated.scan is not None
    if stated.px_per_mrad and not stated.pixel_A:
        return True
    if stated.pixel_A and not stated.px_per_mrad:
        return False
    unknown = "".join(f" (its unit {unit!r} is not known)" for unit in unread(signal))
    raise InputError(
        f"{path}: says neither that it is an image nor a diffraction pattern{unknown}; "
        f"say {option('kind')} image or {option('kind')} pattern"
    )


def axes_of(signal: Signal, kind: Kind, stated: Stated, energy: float | None, path: Path) -> tuple[Axis, ...]:
    """Axes in Å and mrad with what the user states; scale None where nobody says.

    Raises
    ------
    InputError
        If a stated scale contradicts the file's, or fits no axis.
    """
    down, right = signal.axes[-2:]
    if kind in ("image", "image stack"):
        if stated.px_per_mrad:
            raise InputError(f"{path}: {option('px_per_mrad')} is for diffraction patterns, this is {_article(kind)}")
        picture = _pair(down, right, ("y", "x"), "Å", energy)
        picture = _stated(picture, stated.pixel_A, "pixel_A", path)
        frames = (Axis("frame"),) if kind == "image stack" else ()
        return (*frames, *picture)
    pattern = _pair(down, right, ("ky", "kx"), "mrad", energy)
    pattern = _stated(pattern, 1 / stated.px_per_mrad if stated.px_per_mrad else None, "px_per_mrad", path)
    if kind == "pattern":
        if stated.pixel_A:
            raise InputError(f"{path}: {option('pixel_A')} is for images, this is a pattern")
        return pattern
    scan = _pair(signal.axes[0], signal.axes[1], ("y", "x"), "Å", energy)
    return (*_stated(scan, stated.pixel_A, "pixel_A", path), *pattern)


def _pair(
    first: FileAxis, second: FileAxis, names: tuple[str, str], unit: str, energy: float | None
) -> tuple[Axis, Axis]:
    one, two = (_axis(axis, name, unit, energy) for axis, name in zip((first, second), names, strict=True))
    return one, two


def _axis(axis: FileAxis, name: str, unit: str, energy: float | None) -> Axis:
    size = _size(axis.unit, unit, energy)
    if size is None or not axis.scale:
        return Axis(name, unit)
    # upside-down scales are a matter of display
    scale = abs(axis.scale) * size
    return Axis(name, unit, scale, axis.offset * size)


def _size(written: str, wanted: str, energy: float | None) -> float | None:
    """How much of the wanted unit one of the written is; None if it is of another kind, or needs the beam energy."""
    known = dimension(written)
    if known is None:
        return None
    sort, size = known
    if wanted == "Å":
        return size if sort == "length" else None
    if sort == "angle":
        return size
    return 1e3 * wavelength(1e3 * energy) * size if sort == "reciprocal" and energy else None


def _stated(axes: tuple[Axis, Axis], value: float | None, key: str, path: Path) -> tuple[Axis, Axis]:
    if value is None:
        return axes
    for axis in axes:
        if axis.scale is not None and abs(axis.scale / value - 1) > ROUNDING:
            agreed = _written(sqrt(axes[0].scale * axis.scale) if axes[0].scale else axis.scale, key)
            raise InputError(
                f"{path}: the file says {agreed}, {option(key)} says {_written(value, key)}; leave the option out, "
                "and calibrate if the file is wrong"
            )
    first, second = (replace(axis, scale=axis.scale or value) for axis in axes)
    return first, second


def _written(scale: float, key: str) -> str:
    return f"{1 / scale:.5g} px/mrad" if key == "px_per_mrad" else f"{scale:.5g} Å"
