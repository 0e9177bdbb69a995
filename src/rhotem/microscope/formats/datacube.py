"""HDF5 files of patterns as py4DSTEM reads and writes them (EMD 1.0); PtyRAD and phaser load the same array.

The array (y, x, ky, kx) lies at ``datacube_root/datacube/data``: py4DSTEM's R_x, its first axis, is our y, downwards.
"""

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.units import wavelength
from rhotem.microscope.formats.signal import Axis, Signal

#: Where the array lies in a file.
KEY = "datacube_root/datacube/data"
#: Names of the axes by py4DSTEM, rows first.
DIMENSIONS = ("Rx", "Ry", "Qx", "Qy")
#: Largest difference of the steps along x and y, as a part of them, that one number may stand for.
SQUARE = 1e-3


def write_py4dstem(signal: Signal, path: Path) -> None:
    """A DataCube with its calibration: Å, and 1/Å where the energy is known, else mrad.

    Raises
    ------
    InputError
        If steps along x and y differ: py4DSTEM has one pixel size for both.
    """
    scan, angle = square(signal, "py4DSTEM")
    data, _ = signal.in_rows()
    write_datacube(data, path, scan, angle, signal.energy)


def square(signal: Signal, reader: str) -> tuple[float, float]:
    """Step of the scan in Å and pixel of the patterns in mrad where both are square.

    Raises
    ------
    InputError
        If they are not.
    """
    x, y, kx, ky = signal.axes
    if not _equal(x, y):
        raise InputError(
            f"{signal.name}: steps of {x.step:.4g} × {y.step:.4g} Å; {reader} takes square ones: simulate with "
            "--scan-step and a field of view that it divides"
        )
    if not _equal(kx, ky):
        raise InputError(
            f"{signal.name}: pixels of {kx.step:.4g} × {ky.step:.4g} mrad; {reader} takes square ones: simulate with "
            "--camera-step"
        )
    return (x.step + y.step) / 2, (kx.step + ky.step) / 2


def _equal(one: Axis, other: Axis) -> bool:
    return abs(one.step - other.step) <= SQUARE * one.step


def write_datacube(data: npt.NDArray, path: Path, scan: float, angle: float, energy: float | None) -> None:
    """An array (y, x, ky, kx) with steps in Å and mrad."""
    import h5py

    size, unit = (1e-3 * angle / wavelength(energy), "A^-1") if energy else (angle, "mrad")
    with h5py.File(path, "w") as file:
        file.attrs.update({"emd_group_type": "file", "version_major": 1, "version_minor": 0})
        file.attrs.update({"UUID": str(uuid.uuid4()), "authoring_program": "RhoTEM", "authoring_user": ""})
        root = _group(file, "datacube_root", "root", "Root")
        bundle = root.create_group("metadatabundle")
        bundle.attrs["emd_group_type"] = "metadatabundle"
        calibration: dict[str, Any] = {
            "Q_pixel_size": size,
            "R_pixel_size": scan,
            "Q_pixel_units": unit,
            "R_pixel_units": "A",
            "QR_flip": False,
            "_datacube_path": "datacube",
        }
        _metadata(_group(bundle, "calibration", "metadata", "Calibration"), calibration)
        cube = _group(root, "datacube", "array", "DataCube")
        cube.create_dataset("data", data=data.astype(np.float32)).attrs["units"] = "pixel intensity"
        for place, (name, step) in enumerate(zip(DIMENSIONS, (scan, scan, size, size), strict=True)):
            axis = cube.create_dataset(f"dim{place}", data=np.array([0.0, step]))
            axis.attrs.update({"name": name, "units": "A" if place < 2 else unit})


def _group(parent: Any, name: str, kind: str, python_class: str) -> Any:
    group = parent.create_group(name)
    group.attrs.update({"emd_group_type": kind, "python_class": python_class})
    return group


def _metadata(group: Any, values: dict[str, Any]) -> None:
    """Items as emdfile stores them: a data set with the kind of its value."""
    for key, value in values.items():
        kind = {str: b"string", bool: b"bool"}.get(type(value), b"number")
        group.create_dataset(key, data=value.encode() if isinstance(value, str) else value).attrs["type"] = kind
