"""Responses at rest: one Zarr group, versioned, checked when it is opened."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.stored import write_group
from rhotem.scattering.response.channels import described

#: What the group says it is, and the version of its layout and of the weights that it was made for; of version 1, whose
#: pixels count by covered parts, the images are those of then.
FORM, AREAS = ("rhotem-response", 2), ("rhotem-response", 1)


def save_response(response: Any, path: Path, *, half: bool = False) -> None:
    """Write a response; the group appears when it is complete.

    ``half``: M in half precision, every channel over its largest value. The relative error is stored with it.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "vectors": response.beams.vectors,
        "sizes": np.array(response.beams.sizes, dtype=np.int64),
        "matrix": response.matrix,
        "rim": response.rim,
    }
    if response.twin is not None:
        arrays |= {f"twin_{name}": getattr(response.twin, name) for name in ("rows", "matrix", "rim")}
    error = 0.0
    if half:
        error = max(_rounding(values) for name, values in arrays.items() if name.endswith("matrix"))
        halves = {name: _halved(values) for name, values in arrays.items() if name.endswith("matrix")}
        for name, (rounded, scale) in halves.items():
            arrays |= {name: rounded, f"{name}_scale": scale}
    attributes = {
        "rounding": error,
        "microscope": response.microscope.model_dump(),
        "range": response.range.model_dump(),
        "detectors": described(response.detectors),
        "kept": described(response.kept),
        "period": list(response.beams.period),
        "supercell_angstrom": list(response.supercell),
        "thicknesses_angstrom": list(response.thicknesses),
        "slope_rad_angstrom": response.slope,
        "columns": [[i, moment] for i, moment in response.cells.columns],
        "record": json.loads(json.dumps(response.record, default=float)),
    }
    write_group(path, AREAS if response.areas else FORM, arrays, attributes)


def _halved(values: npt.NDArray[np.complex64]) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float32]]:
    """Complex values (t, d, n) as (t, d, n, 2) in half precision, over the largest of each row, (t, d)."""
    parts = np.ascontiguousarray(values).view(np.float32).reshape(*values.shape, 2)
    scale = np.abs(parts).max(axis=(2, 3))
    scale[scale == 0] = 1.0
    return (parts / scale[..., None, None]).astype(np.float16), scale


def whole(values: npt.NDArray[np.float16], scale: npt.NDArray[np.float32]) -> npt.NDArray[np.complex64]:
    """Complex values in half precision and the largest of each row, together again."""
    parts = values.astype(np.float32) * scale[..., None, None]
    return parts.view(np.complex64)[..., 0]


def _rounding(values: npt.NDArray[np.complex64]) -> float:
    """Largest error of any channel by half precision: root mean square over root mean square."""
    difference = whole(*_halved(values)) - values
    power = (np.abs(values) ** 2).sum(axis=2)
    return float(np.sqrt(((np.abs(difference) ** 2).sum(axis=2) / np.where(power > 0, power, 1.0)).max()))
