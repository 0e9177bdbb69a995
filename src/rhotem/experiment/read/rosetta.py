"""Files through RosettaSciIO: its warnings become remarks, its failures one line."""

import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.experiment.read.signal import FileAxis, Signal

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
    data = np.asarray(read["data"])
    if len(axes) != data.ndim:  # readers of plain pictures give none
        axes = (FileAxis(),) * data.ndim
    kind = look_up(metadata, "Signal.signal_type")
    return Signal(
        data,
        axes,
        title=str(look_up(metadata, "General.title") or ""),
        settings=_settings(merged),
        diffraction=True if kind == "electron_diffraction" else None,
        counts=_counts(merged),
        metadata={"metadata": metadata, "original_metadata": original},
        remarks=remarks + failed,
    )


def _axis(axis: Mapping[str, Any]) -> FileAxis:
    unit = axis.get("units")
    unit = "" if unit is None or str(unit) in ("<undefined>", "None", "t.Undefined") else str(unit)
    name = axis.get("name")
    return FileAxis(
        "" if name is None or "ndefined" in str(name) else str(name),
        unit,
        _number(axis.get("scale")) or None,
        _number(axis.get("offset")),
        bool(axis.get("navigate")),
    )


def _number(value: Any) -> float:
    """A number of a file; 0 of nothing and of what is not finite."""
    return float(value) if value and np.isfinite(value) else 0.0


def look_up(tree: Any, place: str) -> Any:
    """Value at a place with dots in nested dictionaries, or None; blanks and underscores are the same."""
    for part in place.split("."):
        if not isinstance(tree, Mapping):
            return None
        names = {str(key).replace(" ", "_"): key for key in tree}
        name = part.replace(" ", "_")
        if name not in names:
            return None
        tree = tree[names[name]]
    return tree


def _mapped(metadata: Any, original: Any, mapping: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Values by place of HyperSpy's metadata, those that a reader leaves to its caller included."""
    found = {place: look_up(metadata, place) for _, place, _ in PLACES}
    found["Signal.quantity"] = look_up(metadata, "Signal.quantity")
    failed = []
    for place, rule in mapping.items():
        value = look_up(original, place)
        if rule is None or value is None or rule[0] not in found:
            continue
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


def _counts(found: Mapping[str, Any]) -> bool | None:
    quantity = str(found.get("Signal.quantity") or "")
    return True if "lectron" in quantity or "e^-" in quantity or quantity == "e-" else None
