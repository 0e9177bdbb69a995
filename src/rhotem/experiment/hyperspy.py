"""Measurements from and to signals of HyperSpy, and with it atomap, pyxem and py4DSTEM's readers."""

from typing import Any

import numpy as np

from rhotem.core import InputError, MissingDependencyError
from rhotem.core.provenance import array_sha256
from rhotem.experiment.measurement import Measurement, Source
from rhotem.experiment.read.assemble import assembled
from rhotem.experiment.read.rosetta import signal_of
from rhotem.experiment.read.stated import Stated


def from_hyperspy(signal: Any, stated: Stated | None = None) -> Measurement:
    """A measurement of a signal of HyperSpy: the same checks as for a file.

    Parameters
    ----------
    signal : hyperspy.signals.BaseSignal
        An image, a stack, a pattern or 4D data; lazy ones are computed.
    stated : Stated or None
        What the signal lacks.

    Raises
    ------
    InputError
        If it is no signal, or is refused as a file of the same content would be.
    """
    if not hasattr(signal, "axes_manager") or not hasattr(signal, "data"):
        raise InputError(f"from_hyperspy: expected a signal of HyperSpy, got {type(signal).__name__}")
    data = np.asarray(signal.data)
    axes = [
        {name: getattr(axis, name, None) for name in ("name", "units", "scale", "offset", "navigate")}
        for axis in signal.axes_manager._axes
    ]
    read = {
        "data": data,
        "axes": [{key: None if "ndefined" in repr(value) else value for key, value in axis.items()} for axis in axes],
        "metadata": signal.metadata.as_dictionary(),
        "original_metadata": signal.original_metadata.as_dictionary(),
    }
    title = str(signal.metadata.get_item("General.title", "") or "signal")
    return assembled([signal_of(read)], stated or Stated(), Source(title, array_sha256(data)), "HyperSpy signal")


def to_hyperspy(measurement: Measurement) -> Any:
    """A Signal2D with calibrated axes and settings where HyperSpy has them.

    Raises
    ------
    MissingDependencyError
        If HyperSpy is not installed.
    """
    try:
        from hyperspy.signals import Signal2D
    except ImportError:
        raise MissingDependencyError("to_hyperspy needs HyperSpy: pip install 'rhotem[hyperspy]'") from None
    axes = [
        {
            "name": axis.name,
            "size": size,
            "units": axis.unit if axis.scale is not None else "px",
            "scale": axis.scale if axis.scale is not None else 1.0,
            "offset": axis.offset if axis.scale is not None else 0.0,
        }
        for axis, size in zip(measurement.axes, measurement.data.shape, strict=True)
    ]
    signal = Signal2D(measurement.data, axes=axes)
    signal.metadata.set_item("General.title", str(measurement.metadata.get("title") or measurement.source.path))
    for value, place, size in (
        (measurement.energy_keV, "beam_energy", 1.0),
        (measurement.convergence_mrad, "convergence_angle", 1.0),
        (measurement.camera_length_mm, "camera_length", 1.0),
        (measurement.dwell_us, "dwell_time", 1e-6),
    ):
        if value is not None:
            signal.metadata.set_item(f"Acquisition_instrument.TEM.{place}", value * size)
    if measurement.dose_e_per_A2 is not None:
        signal.metadata.set_item("RhoTEM.dose", measurement.dose_e_per_A2)
    if measurement.counts:
        signal.metadata.set_item("Signal.quantity", "Electrons (Counts)")
    if measurement.kind in ("pattern", "4D"):
        signal.metadata.set_item("Signal.signal_type", "electron_diffraction")
    signal.original_metadata.set_item("rhotem", measurement.record())
    return signal
