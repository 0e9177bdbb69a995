"""Measurements of objects of py4DSTEM and quantem (HyperSpy: `rhotem.experiment.hyperspy`).

Neither package is imported: what is asked for is the interface of their objects.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.core.provenance import array_sha256
from rhotem.experiment.measurement import Measurement, Source
from rhotem.experiment.read.assemble import assembled
from rhotem.experiment.read.signal import FileAxis, Signal
from rhotem.experiment.read.stated import Stated

#: Classes of py4DSTEM whose two axes are angles.
PATTERNS = frozenset(("DiffractionSlice", "VirtualDiffraction", "Probe"))


def from_py4dstem(found: Any, stated: Stated | None = None) -> Measurement:
    """A measurement of a DataCube, a virtual image or a mean pattern of py4DSTEM: the same checks as for a file.

    Parameters
    ----------
    found : py4DSTEM.DataCube, RealSlice or DiffractionSlice
        Pixel sizes are those of its calibration; pixels without unit stay without scale.
    stated : Stated or None
        What it lacks: energy and convergence always, as py4DSTEM does not keep them.

    Raises
    ------
    InputError
        If it is none of these, or is refused as a file of the same content would be.
    """
    scale: Any = getattr(found, "calibration", None)
    data = getattr(found, "data", None)
    if data is None or not hasattr(scale, "get_Q_pixel_size") or np.ndim(data) not in (2, 4):
        raise InputError(f"from_py4dstem: expected a DataCube or a slice of py4DSTEM, got {type(found).__name__}")
    scan = _pair(scale.get_R_pixel_size(), scale.get_R_pixel_units())
    angle = _pair(scale.get_Q_pixel_size(), scale.get_Q_pixel_units())
    pattern = bool(PATTERNS & {one.__name__ for one in type(found).__mro__})
    sizes = [*scan, *angle] if np.ndim(data) == 4 else angle if pattern else scan
    axes = [FileAxis(unit=unit, scale=size, scanned=place < np.ndim(data) - 2) for place, (size, unit) in _row(sizes)]
    return _measured(np.asarray(data), axes, (str(getattr(found, "name", "")), "py4DSTEM object"), stated, pattern)


def from_quantem(found: Any, stated: Stated | None = None) -> Measurement:
    """A measurement of a Dataset of quantem (2D, 3D, 4D): the same checks as for a file.

    Parameters
    ----------
    found : quantem.core.datastructures.Dataset
        Sampling, origin and units are taken.
    stated : Stated or None
        What it lacks.

    Raises
    ------
    InputError
        As `from_py4dstem`.
    """
    if not all(hasattr(found, name) for name in ("array", "sampling", "origin", "units")):
        raise InputError(f"from_quantem: expected a Dataset of quantem, got {type(found).__name__}")
    data = found.array.get() if hasattr(found.array, "get") else np.asarray(found.array)  # CuPy's come from the GPU
    rows = zip(found.sampling, found.units, found.origin, strict=True)
    axes = [
        FileAxis(unit=str(unit), scale=_number(size), offset=float(origin), scanned=place < data.ndim - 2)
        for place, (size, unit, origin) in _row(list(rows))
    ]
    return _measured(data, axes, (str(getattr(found, "name", "")), "quantem object"), stated)


def _row(values: Sequence[Any]) -> list[tuple[int, Any]]:
    return list(enumerate(values))


def _pair(size: Any, unit: Any) -> list[tuple[float | None, str]]:
    """Sizes of pixels along both directions with their unit; some calibrations keep one for each."""
    return [(_number(one), str(unit)) for one in np.broadcast_to(np.asarray(size, dtype=float), 2)]


def _number(value: Any) -> float | None:
    """The size of a pixel; None where there is none."""
    size = float(value)
    return size if np.isfinite(size) and size > 0 else None


def _measured(
    data: Any, axes: list[FileAxis], said: tuple[str, str], stated: Stated | None, pattern: bool = False
) -> Measurement:
    """``said``: name and form of the object."""
    signal = Signal(data, tuple(axes), title=said[0], diffraction=True if pattern else None)
    source = Source(said[0] or said[1], array_sha256(data))
    return assembled([signal], stated or Stated(), source, said[1])
