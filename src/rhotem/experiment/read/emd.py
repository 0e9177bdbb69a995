"""EMD: Velox, Berkeley, py4DSTEM."""

from dataclasses import replace
from math import inf
from pathlib import Path

import h5py

from rhotem.experiment.read.rosetta import look_up, read_rosetta
from rhotem.experiment.read.signal import Signal

#: What Velox states that RosettaSciIO leaves in its original metadata, with the size of its unit.
VELOX: tuple[tuple[str, str, float], ...] = (
    ("convergence_mrad", "Optics.BeamConvergence", 1e3),
    ("current_pA", "Optics.LastMeasuredScreenCurrent", 1e12),
)


def read_emd(path: Path) -> list[Signal]:
    """Pictures of an EMD file; spectra of Velox are left out."""
    if _is_velox(path):
        return [_with_settings(signal) for signal in read_rosetta(path, "emd", select_type="images")]
    signals = read_rosetta(path, "emd")
    return [_as_stored(signal) for signal in signals] if _is_first_version(path) else signals


def read_hdf5(path: Path) -> list[Signal]:
    """Pictures of an HDF5 file of HyperSpy, else of one of the EMD family."""
    return read_rosetta(path, "hspy") if _has(path, "Experiments") else read_emd(path)


def _has(path: Path, *names: str) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return all(name in file for name in names)
    except OSError:
        return False  # the reader says what is wrong


def _is_velox(path: Path) -> bool:
    return _has(path, "Version", "Data")


def _is_first_version(path: Path) -> bool:
    """Whether dimensions are numbered from 1: RosettaSciIO turns such arrays around, as its own are written."""
    numbered: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            file.visit(lambda name: numbered.append(name) if name.rsplit("/", 1)[-1] == "dim0" else None)
    except OSError:
        return False
    return not numbered


def _as_stored(signal: Signal) -> Signal:
    """With rows before columns by the names of the axes: ncempy and others store y first, HyperSpy x."""
    names = [axis.name.lower() for axis in signal.axes]
    for prefix in ("", "k", "q", "r"):
        if prefix + "x" in names and prefix + "y" in names:
            if names.index(prefix + "y") < names.index(prefix + "x"):
                return signal
            return replace(signal, data=signal.data.T, axes=signal.axes[::-1])
    remark = (
        f"axes called {', '.join(name or '?' for name in names)}: that the last one goes along rows is HyperSpy's order"
    )
    return replace(signal, remarks=(*signal.remarks, remark))


def _with_settings(signal: Signal) -> Signal:
    original = signal.metadata["original_metadata"]
    settings = dict(signal.settings)
    remarks: tuple[str, ...] = ()
    detector = f"Detectors.Detector-{look_up(original, 'BinaryResult.DetectorIndex')}"
    # settings of the last scan stay in the metadata of a camera's picture
    camera = str(look_up(original, f"{detector}.DetectorType") or "").startswith(("Imaging", "Camera"))
    dwell = f"{detector}.ExposureTime" if camera else "Scan.DwellTime"
    for key, place, size in (*VELOX, ("dwell_us", dwell, 1e6)):
        try:
            value = float(look_up(original, place)) * size
        except (TypeError, ValueError):
            continue
        if 0 < value < inf:
            settings.setdefault(key, value)
            if key == "current_pA":
                remarks = (f"beam current {value:.4g} pA: the last one measured on the screen",)
    return replace(signal, settings=settings, camera=camera, remarks=signal.remarks + remarks)
