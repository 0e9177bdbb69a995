"""One measurement of what a file's reader gives and what the user states."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.measurement import Kind, Measurement, Source
from rhotem.experiment.read.checks import check, saturated
from rhotem.experiment.read.frames import faults, named
from rhotem.experiment.read.grey import grey
from rhotem.experiment.read.scales import ROUNDING, axes_of, kind_of, ordered, unread
from rhotem.experiment.read.signal import FileAxis, Signal
from rhotem.experiment.read.stated import Stated, option

#: Electrons per second in 1 pA.
ELECTRONS_PER_PICOAMPERE = 1e-12 / 1.602176634e-19
#: Energies in keV that an electron microscope can have.
ENERGIES = (1.0, 3000.0)
#: Settings of a file, by the name that `Stated` gives them too.
SETTINGS = ("energy_keV", "convergence_mrad", "dwell_us", "current_pA", "dose_e_per_A2", "camera_length_mm")


def assembled(signals: list[Signal], stated: Stated, source: Source, form: str) -> Measurement:
    """The recording that is asked for, checked, its axes in Å and mrad, its gaps filled by what is stated.

    Raises
    ------
    InputError
        See `rhotem.experiment.read.read_measurement`.
    """
    path = Path(source.path)
    stated.check()
    signal = _picked(signals, stated, path)
    data = _native(_without_colours(signal, path))
    check(data, path)
    signal = ordered(_scanned(_squeezed(replace(signal, data=data)), stated, path), path)
    settings, refused = _settings(signal, stated, path)
    kind = kind_of(signal, stated, path)
    axes = axes_of(signal, kind, stated, settings.get("energy_keV"), path)
    top = saturated(signal.data)
    counts = _counts(signal, stated, path)
    pixel = (axes[0].scale, axes[1].scale) if kind in ("image", "4D") else (None, None)
    by_camera = signal.camera and kind == "image" and not stated.dwell_us
    dose, said = _dose(settings, (None, None) if by_camera else pixel, stated, path)
    if by_camera and settings.get("current_pA"):
        said = (f"no dose of current and exposure: how wide the beam was is not known; say {option('dose_e_per_A2')}",)
    return Measurement(
        np.ascontiguousarray(signal.data[..., ::-1, :] if stated.flip else signal.data),
        kind,
        axes,
        energy_keV=settings.get("energy_keV"),
        convergence_mrad=settings.get("convergence_mrad"),
        dwell_us=settings.get("dwell_us"),
        dose_e_per_A2=dose,
        camera_length_mm=settings.get("camera_length_mm"),
        counts=counts,
        saturated=top,
        source=source,
        metadata={"format": form, "title": signal.title, "camera": by_camera, **signal.metadata},
        remarks=signal.remarks + refused + _fractions(signal, counts) + _remarks(signal, top, kind) + said,
    )


def _picked(signals: list[Signal], stated: Stated, path: Path) -> Signal:
    """The recording that is asked for, or the only one."""
    pictures = [signal for signal in signals if np.squeeze(signal.data).ndim in (2, 3, 4)]
    if not pictures:
        shapes = ", ".join(signal.described for signal in signals) or "nothing"
        raise InputError(f"{path}: holds no image, stack, pattern or 4D data but {shapes}")
    listed = "; ".join(f"{number} {signal.described}" for number, signal in enumerate(pictures, 1))
    asked = stated.dataset
    if asked is None:
        if len(pictures) > 1:
            raise InputError(f"{path}: holds {len(pictures)} recordings; say {option('dataset')}: {listed}")
        return pictures[0]
    if asked.isdigit() and 0 < int(asked) <= len(pictures):
        return pictures[int(asked) - 1]
    named = [signal for signal in pictures if signal.title.lower() == asked.lower()]
    if len(named) != 1:
        raise InputError(f"{path}: {'several recordings' if named else 'no recording'} named {asked}; it has {listed}")
    return named[0]


def _without_colours(signal: Signal, path: Path) -> npt.NDArray[Any]:
    """Grey values; an axis that has a unit, or is one of 4D data, is none of colours."""
    data = np.asarray(signal.data)
    if data.dtype.names is None and (data.ndim != 3 or signal.axes[-1].unit):
        return data
    return grey(data, path)


def _native(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers as this machine has them: another order of bytes, or half precision, not every library takes."""
    kind = np.dtype(np.float32) if data.dtype == np.float16 else data.dtype.newbyteorder("=")
    return data.astype(kind, copy=False)


def _squeezed(signal: Signal) -> Signal:
    """Without axes of one frame; those of the picture stay."""
    kept = [i for i, n in enumerate(signal.data.shape) if n > 1 or i >= signal.data.ndim - 2]
    shape = tuple(signal.data.shape[i] for i in kept)
    return replace(signal, data=signal.data.reshape(shape), axes=tuple(signal.axes[i] for i in kept))


def _scanned(signal: Signal, stated: Stated, path: Path) -> Signal:
    """Patterns one after another as rows and columns of a scan."""
    if stated.scan is None:
        return signal
    rows, columns = stated.scan
    frames = int(np.prod(signal.data.shape[:-2], dtype=int))
    if rows * columns != frames:
        raise InputError(f"{path}: {option('scan')} {rows},{columns} are {rows * columns} patterns, it holds {frames}")
    axes = signal.axes[:2] if signal.data.shape[:-2] == stated.scan else (FileAxis("y"), FileAxis("x"))
    return replace(
        signal, data=signal.data.reshape(rows, columns, *signal.data.shape[-2:]), axes=(*axes, *signal.axes[-2:])
    )


def _settings(signal: Signal, stated: Stated, path: Path) -> tuple[dict[str, float], tuple[str, ...]]:
    """The file's settings joined with the stated ones, which must not contradict them, and what was not believed."""
    joined = {}
    written = dict(signal.settings)
    refused: tuple[str, ...] = ()
    energy = written.get("energy_keV")
    if energy is not None and not ENERGIES[0] <= energy <= ENERGIES[1]:
        del written["energy_keV"]
        refused = (f"the file says a beam energy of {energy:g} keV, V and kV mixed up? not taken",)
    for key in SETTINGS:
        file, said = written.get(key), getattr(stated, key)
        if file and said and abs(file / said - 1) > ROUNDING:
            raise InputError(
                f"{path}: the file says {key} {file:.5g}, {option(key)} says {said:g}; one of them is wrong"
            )
        if file or said:
            joined[key] = file or said
    energy = joined.get("energy_keV")
    if energy is not None and not ENERGIES[0] <= energy <= ENERGIES[1]:
        raise InputError(f"{path}: beam energy {energy:g} keV; expected {ENERGIES[0]:g} to {ENERGIES[1]:g} keV, as 200")
    return joined, refused


def _dose(
    settings: dict[str, float], pixel: tuple[float | None, float | None], stated: Stated, path: Path
) -> tuple[float | None, tuple[str, ...]]:
    """Electrons per Å², stated or of current, dwell time and pixel; with a remark in the second case."""
    current, dwell, dose = (settings.get(key) for key in ("current_pA", "dwell_us", "dose_e_per_A2"))
    if not (current and dwell and pixel[0] and pixel[1]):
        return dose, ()
    electrons = current * ELECTRONS_PER_PICOAMPERE * dwell * 1e-6
    made = electrons / (pixel[0] * pixel[1])
    if dose and stated.current_pA and abs(made / dose - 1) > 0.05:
        raise InputError(f"{path}: {option('current_pA')} makes {made:.4g} e/Å², {option('dose_e_per_A2')} is {dose:g}")
    if dose:
        return dose, ()
    return made, (f"dose of {current:.4g} pA, {dwell:.4g} µs and the pixel: {electrons:.4g} electrons a pixel",)


def _counts(signal: Signal, stated: Stated, path: Path) -> bool | None:
    if stated.counts and signal.counts is False:
        raise InputError(f"{path}: {option('counts')}, but its values are no electrons: {'; '.join(signal.remarks)}")
    if stated.counts and (signal.data.dtype.kind == "i" or signal.data.dtype.kind == "f") and signal.data.min() < 0:
        raise InputError(f"{path}: {option('counts')}, but the least value is {signal.data.min():g}")
    return signal.counts if stated.counts is None else stated.counts


def _fractions(signal: Signal, counts: bool | None) -> tuple[str, ...]:
    """A remark on electrons that are no whole numbers."""
    # every eighth of frames and positions is enough, and 4D data are large
    data = signal.data[(slice(None, None, 8),) * (signal.data.ndim - 2)]
    if not counts or data.dtype.kind != "f" or (data == np.rint(data)).all():
        return ()
    return ("electrons with fractions: a mean of frames, or a gain? noise is that of counting only for whole ones",)


def _remarks(signal: Signal, top: float, kind: Kind) -> tuple[str, ...]:
    """What a detector cut off, and frames of a stack that are no recording like the others, by their numbers."""
    found = [f"the unit {unit!r} of the file is not known: its scale is not taken" for unit in unread(signal)]
    if top:
        highest: Any = signal.data.max()
        found.append(f"saturated: {100 * top:.2g} % of the pixels are at the top value {highest:g}")
    if kind == "image stack" and (wrong := faults(signal.data)):
        found.append(f"of {len(signal.data)} frames {named(wrong)}; leave out before anything is averaged")
    return tuple(found)
