"""Files through RosettaSciIO: its warnings become remarks, its failures one line."""

import importlib
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.read.signal import FileAxis, Signal

#: Kinds of signal of HyperSpy and pyxem that are diffraction patterns.
DIFFRACTION = ("electron_diffraction", "diffraction")
#: Where the exposure of a camera stands.
EXPOSURES = ("Acquisition_instrument.TEM.Camera.exposure", "Acquisition_instrument.TEM.Detector.Camera.exposure")
#: TEM or STEM.
MODE = "Acquisition_instrument.TEM.acquisition_mode"
#: Where the factor and the zero are by which values become what their unit says.
GAIN, ZERO = (f"Signal.Noise_properties.Variance_linear_model.gain_{name}" for name in ("factor", "offset"))
#: Warnings about the reader's code, not about the file.
SILENT = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning)
#: Where HyperSpy's metadata keep what `Signal.settings` names, and its size in that unit.
PLACES: tuple[tuple[str, str, float], ...] = (
    ("energy_keV", "Acquisition_instrument.TEM.beam_energy", 1.0),
    ("energy_keV", "Acquisition_instrument.SEM.beam_energy", 1.0),
    ("convergence_mrad", "Acquisition_instrument.TEM.convergence_angle", 1.0),
    ("camera_length_mm", "Acquisition_instrument.TEM.camera_length", 1.0),
    ("current_pA", "Acquisition_instrument.TEM.beam_current", 1e3),
    ("current_pA", "Acquisition_instrument.SEM.beam_current", 1e3),
    ("dwell_us", "Acquisition_instrument.TEM.dwell_time", 1e6),
    ("dwell_us", "Acquisition_instrument.SEM.dwell_time", 1e6),
    ("dwell_us", "Acquisition_instrument.dwell_time", 1e6),
    ("dwell_us", "Acquisition_instrument.TEM.Camera.exposure", 1e6),
    ("dwell_us", "Acquisition_instrument.TEM.Detector.Camera.exposure", 1e6),
    ("dose_e_per_A2", "RhoTEM.dose", 1.0),
)


def read_rosetta(path: Path, plugin: str, **options: Any) -> list[Signal]:
    """All pictures that a reader of RosettaSciIO sees in a file.

    Raises
    ------
    InputError
        If the reader fails, whatever its error: what a damaged file makes it do cannot be foreseen.
    """
    reader = importlib.import_module(f"rsciio.{plugin}").file_reader
    with heard() as remarks:
        try:
            read = reader(str(path), **options)
        except Exception as error:
            raise InputError(f"{path}: cannot be read as {plugin}, truncated or damaged ({_short(error)})") from None
    return [signal_of(one, tuple(dict.fromkeys(remarks))) for one in read]


@contextmanager
def heard() -> Iterator[list[str]]:
    """Warnings and log lines of readers while the block runs, as remarks."""
    remarks: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            remarks.append(" ".join(record.getMessage().split()))

    listener, loggers = Listener(logging.WARNING), [logging.getLogger(name) for name in ("rsciio", "tifffile")]
    before = [(logger.propagate, logger.handlers) for logger in loggers]
    try:
        for logger in loggers:  # RosettaSciIO's own handler would print
            logger.handlers, logger.propagate = [listener], False
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield remarks
        remarks += [" ".join(str(w.message).split()) for w in caught if not issubclass(w.category, SILENT)]
    finally:
        for logger, (propagate, handlers) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}" if text else type(error).__name__


def signal_of(read: Mapping[str, Any], remarks: tuple[str, ...] = ()) -> Signal:
    """A recording as HyperSpy's dictionary: data, axes, metadata, original_metadata, mapping."""
    metadata, original = read.get("metadata", {}), read.get("original_metadata", {})
    merged, failed = _mapped(metadata, original, read.get("mapping", {}))
    axes = tuple(_axis(axis) for axis in read["axes"])
    data, counts, counted = _electrons(np.asarray(read["data"]), merged, stored=look_up(metadata, GAIN) is None)
    if len(axes) != data.ndim:  # readers of plain pictures give none
        axes = (FileAxis(),) * data.ndim
    kind = look_up(metadata, "Signal.signal_type")
    return Signal(
        data,
        axes,
        title=str(look_up(metadata, "General.title") or ""),
        settings=_settings(merged),
        diffraction=True if kind in DIFFRACTION else None,
        counts=counts,
        camera=_by_camera(merged),
        metadata={"metadata": metadata, "original_metadata": original},
        remarks=remarks + failed + counted,
    )


def _axis(axis: Mapping[str, Any]) -> FileAxis:
    unit = axis.get("units")
    unit = "" if unit is None or str(unit) in ("<undefined>", "None", "t.Undefined") else str(unit)
    name = axis.get("name")
    return FileAxis(
        "" if name is None or "ndefined" in str(name) else str(name),
        unit,
        number(axis.get("scale")) or None,
        number(axis.get("offset")),
        bool(axis.get("navigate")),
    )


def number(value: Any) -> float:
    """A number of a file, perhaps as text; 0 of nothing and of what is not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if np.isfinite(number) else 0.0


def look_up(tree: Any, place: str) -> Any:
    """Value at a place with dots in nested dictionaries, or None; names are compared as HyperSpy writes them."""
    for part in place.split("."):
        if not isinstance(tree, Mapping):
            return None
        names = {_plain(str(key)): key for key in tree}
        name = _plain(part)
        if name not in names:
            return None
        tree = tree[names[name]]
    return tree


def _plain(name: str) -> str:
    """A name without brackets, its blanks as underscores: "exposure (s)" is "exposure_s"."""
    return re.sub(r"[-\s]+", "_", re.sub(r"[^\w\s-]", "", name).strip())


def _mapped(metadata: Any, original: Any, mapping: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Values by place of HyperSpy's metadata, those that a reader leaves to its caller included."""
    found = {place: look_up(metadata, place) for _, place, _ in PLACES}
    for place in ("Signal.quantity", GAIN, ZERO, MODE):
        found[place] = look_up(metadata, place)
    failed = []
    for place, rule in mapping.items():
        value = look_up(original, place)
        if rule is None or value is None or rule[0] not in found:
            continue
        if isinstance(value, np.ndarray) and value.size:  # one of every frame, as in the extended header of FEI's MRC
            value = value.flat[0]
        try:
            found[rule[0]] = value if rule[1] is None else rule[1](value)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            failed.append(f"{place}: {value!r} is not understood ({_short(error)})")
    return found, tuple(failed)


def _settings(found: Mapping[str, Any]) -> dict[str, float]:
    settings: dict[str, float] = {}
    for key, place, size in PLACES:
        try:
            value = float(found[place]) * size
        except (TypeError, ValueError):
            continue
        if np.isfinite(value) and value > 0:  # instruments that are not connected write 0
            settings.setdefault(key, value)
    return settings


def _by_camera(found: Mapping[str, Any]) -> bool:
    """Whether a dwell time is that of a camera; STEM says otherwise of what a reader calls an exposure."""
    scanned = any(found.get(place) for _, place, _ in PLACES if place.endswith("dwell_time"))
    return not scanned and any(found.get(place) for place in EXPOSURES) and found.get(MODE) != "STEM"


def _electrons(
    data: npt.NDArray[Any], found: Mapping[str, Any], stored: bool
) -> tuple[npt.NDArray[Any], bool | None, tuple[str, ...]]:
    """Values in electrons where the file says so, whether they are, and a remark if they were not as stored.

    DigitalMicrograph stores numbers of a converter with the unit e-, the electrons of one and the number of none.
    Whether a program that wrote such a gain on (HyperSpy) had applied it nobody knows: ``stored`` is False.
    """
    quantity = str(found.get("Signal.quantity") or "")
    if not ("lectron" in quantity or "e^-" in quantity or quantity == "e-"):
        return data, None, ()
    try:
        factor, zero = float(found.get(GAIN) or 1.0), float(found.get(ZERO) or 0.0)
    except (TypeError, ValueError):
        return data, None, ()
    if not (np.isfinite(factor) and np.isfinite(zero) and factor > 0) or data.dtype.kind not in "buif":
        return data, None, ()
    if (factor, zero) == (1.0, 0.0):
        return data, True, ()
    if not stored:
        return data, None, (f"the file states a gain of {factor:.5g} electrons; say whether values are electrons",)
    remark = f"values made electrons as the file says: ({zero:g} taken off) × {factor:.5g}"
    return (data.astype(np.float32) - np.float32(zero)) * np.float32(factor), True, (remark,)
