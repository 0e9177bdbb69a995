"""Patterns with parameters for iterative ptychography elsewhere: HDF5 and YAML for PtyRAD and phaser."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rhotem.core import InputError
from rhotem.microscope.formats.datacube import KEY, square, write_datacube
from rhotem.microscope.formats.signal import Signal

#: Iterations of the plans that are written.
ITERATIONS = 100


def write_ptyrad(signal: Signal, path: Path) -> None:
    """PtyRAD: ``NAME.hdf5`` with patterns padded to a square, and ``NAME.yaml`` for ``ptyrad run``.

    Aberrations are in Å and degrees, ``C10`` is minus the defocus (PtyRAD 1.0).

    Raises
    ------
    InputError
        If the pixels or the scan are not square, or energy or convergence are not known.
    """
    scan, angle = square(signal, "PtyRAD")
    number = _write_square(signal, path, scan, angle)
    energy, convergence = _optics(signal)
    degrees = {k: math.degrees(v) if k.startswith("phi") else v for k, v in _aberrations(signal).items()}
    parameters = {
        "init_params": {
            "probe_kv": energy / 1e3,
            "probe_conv_angle": convergence,
            "probe_aberrations": {key: float(value) for key, value in degrees.items()},
            "meas_Npix": number,
            "pos_N_scan_slow": signal.axes[1].size,
            "pos_N_scan_fast": signal.axes[0].size,
            "pos_scan_step_size": float(scan),
            "meas_calibration": {"mode": "da", "value": float(angle)},
            "probe_pmode_max": 1,
            "obj_Nlayer": 1,
            "obj_slice_thickness": 1,
            "meas_flipT": [0, 0, 0],
            "meas_params": {"path": path.name, "key": KEY},
        },
        "recon_params": {"NITER": ITERATIONS, "output_dir": f"{path.stem}-ptyrad/"},
    }
    _write_yaml(path, parameters)


def write_phaser(signal: Signal, path: Path) -> None:
    """Phaser: ``NAME.h5`` with patterns padded to a square, and ``NAME.yaml`` for ``phaser run``.

    Phaser's defocus is positive for overfocus (phaser 0.3).

    Raises
    ------
    InputError
        As `write_ptyrad`; also for aberrations with an azimuth.
    """
    scan, angle = square(signal, "phaser")
    found = _aberrations(signal)
    unknown = sorted(set(found) - {"C10", "C30", "C50"})
    if unknown:
        raise InputError(f"{signal.name}: {', '.join(unknown)}: only C10, C30 and C50 can be written for phaser")
    _write_square(signal, path, scan, angle)
    energy, convergence = _optics(signal)
    round_ones = [{name: float(found[key])} for key, name in (("C30", "c3"), ("C50", "c5")) if key in found]
    plan = {
        "name": path.stem,
        "raw_data": {
            "type": "manual",
            "path": path.name,
            "key": KEY.replace("/", "."),
            "diff_step": float(angle),
            "kv": energy / 1e3,
            "adu": 1.0 / _electrons(signal),
        },
        "init": {
            "probe": {
                "type": "focused",
                "conv_angle": convergence,
                "defocus": float(found.get("C10", 0.0)),
                "aberrations": round_ones,
            },
            "scan": {
                "type": "raster",
                "shape": [signal.axes[1].size, signal.axes[0].size],
                "step_size": [float(signal.axes[1].step), float(signal.axes[0].step)],
            },
        },
        "engines": [
            {
                "type": "conventional",
                "probe_modes": 1,
                "niter": ITERATIONS,
                "grouping": 64,
                "noise_model": {"type": "amplitude", "eps": 1.0},
                "solver": {"type": "lsqml"},
                "group_constraints": [],
                "iter_constraints": ["remove_phase_ramp"],
                "save": {"every": 10},
            }
        ],
    }
    _write_yaml(path, plan)


def _write_square(signal: Signal, path: Path, scan: float, angle: float) -> int:
    """Patterns with as many pixels along both axes, the zero angle in the middle; returns how many."""
    data, _ = signal.in_rows()
    number = max(data.shape[2:])
    before = [number // 2 - n // 2 for n in data.shape[2:]]
    widths = [(0, 0), (0, 0), *((b, number - n - b) for b, n in zip(before, data.shape[2:], strict=True))]
    write_datacube(np.pad(data, widths), path, scan, angle, signal.energy)
    return int(number)


def _optics(signal: Signal) -> tuple[float, float]:
    """Energy in eV and convergence in mrad."""
    if signal.energy is None or signal.convergence is None:
        raise InputError(f"{signal.name}: energy or convergence is not in the file; simulate it, or reconstruct here")
    return signal.energy, signal.convergence


def _aberrations(signal: Signal) -> dict[str, float]:
    """Coefficients in Å and azimuths in rad that are not zero."""
    microscope: dict[str, Any] = signal.record.get("microscope", {})
    found = {"C10": -microscope.get("defocus", 0.0), "C30": microscope.get("cs", 0.0)}
    return {key: value for key, value in (found | dict(microscope.get("aberrations", {}))).items() if value}


def _electrons(signal: Signal) -> float:
    """Electrons per position; where none were counted, a number that makes counting noise small."""
    return float(signal.record.get("counting", {}).get("electrons_per_position", 1e6))


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.with_suffix(".yaml").write_text(yaml.safe_dump(content, sort_keys=False))
