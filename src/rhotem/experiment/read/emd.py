"""EMD: Velox, Berkeley, py4DSTEM."""

from dataclasses import replace
from pathlib import Path

import h5py

from rhotem.experiment.read.rosetta import look_up, read_rosetta
from rhotem.experiment.read.signal import Signal

#: What Velox states that RosettaSciIO leaves in its original metadata, with the size of its unit.
VELOX: tuple[tuple[str, str, float], ...] = (
    ("convergence_mrad", "Optics.BeamConvergence", 1e3),
    ("dwell_us", "Scan.DwellTime", 1e6),
    ("current_pA", "Optics.LastMeasuredScreenCurrent", 1e12),
)


def read_emd(path: Path) -> list[Signal]:
    """Pictures of an EMD file; spectra of Velox are left out."""
    if not _is_velox(path):
        return read_rosetta(path, "emd")
    return [_with_settings(signal) for signal in read_rosetta(path, "emd", select_type="images")]


def _is_velox(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return "Version" in file and "Data" in file
    except OSError:
        return False  # the reader says what is wrong


def _with_settings(signal: Signal) -> Signal:
    settings = dict(signal.settings)
    remarks: tuple[str, ...] = ()
    for key, place, size in VELOX:
        try:
            value = float(look_up(signal.metadata["original_metadata"], place)) * size
        except (TypeError, ValueError):
            continue
        if value > 0:
            settings.setdefault(key, value)
            if key == "current_pA":
                remarks = (f"beam current {value:.4g} pA: the last one measured on the screen",)
    return replace(signal, settings=settings, remarks=signal.remarks + remarks)
