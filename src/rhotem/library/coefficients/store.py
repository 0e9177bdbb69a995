"""Images of one lens at rest: one Zarr group, versioned, checked when it is opened."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from rhotem.library.coefficients.model import FixedLens
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.settings import Detector
from rhotem.microscope.stored import Arrays, read_group, readable, write_group

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What the group says it is, and the version of its layout.
FORM = ("rhotem-fixed-lens", 1)


def save_fixed(held: FixedLens, path: Path) -> None:
    """Write images of one lens; the group appears when it is complete.

    Coefficients are in half precision, those of a row over its largest but the mean, which is in double precision.
    """
    waves = np.stack([held.values[..., 1:].real, held.values[..., 1:].imag], axis=-1)
    scale = np.abs(waves).max(axis=(2, 3), initial=0.0)
    scale[scale == 0] = 1.0
    halves = (waves / scale[..., None, None]).astype(np.float16)
    arrays: Arrays = {
        "indices": held.indices[1:].astype(np.int16),
        "waves": halves,
        "scale": scale,
        "mean": held.values[..., 0].real.copy(),
    }
    attributes = {
        "rounding": float(np.abs(halves - waves / scale[..., None, None]).max(initial=0.0)),
        "microscope": held.microscope.model_dump(),
        "detectors": [one.model_dump() for one in held.detectors],
        "rows": [list(one) for one in held.rows],
        "cell_angstrom": list(held.cell),
        "supercell_angstrom": list(held.supercell),
        "thicknesses_angstrom": list(held.thicknesses),
        "record": json.loads(json.dumps(held.record, default=float)),
    }
    write_group(path, FORM, arrays, attributes, whole=True)


def open_fixed(path: str | Path) -> FixedLens:
    """Images of one lens that `save_fixed` wrote.

    Those of another version of the physics are read, too: ``record["physics"]`` says which.

    Raises
    ------
    InputError
        If it holds none, is damaged, or was written by another version of the format.
    """
    arrays, said = read_group(Path(path), FORM, "images of one lens")
    with readable(path):
        return _read(arrays, said)


def _read(arrays: Arrays, said: "Mapping[str, Any]") -> FixedLens:
    waves: npt.NDArray[np.float64] = arrays["waves"].astype(float) * arrays["scale"][..., None, None]
    values = np.concatenate([arrays["mean"][..., None], waves[..., 0] + 1j * waves[..., 1]], axis=2)
    indices = np.concatenate([np.zeros((1, 2), dtype=np.int64), arrays["indices"].astype(np.int64)])
    return FixedLens(
        microscope=Microscope(**said["microscope"]),
        detectors=TypeAdapter(tuple[Detector, ...]).validate_python(said["detectors"]),
        cell=tuple(said["cell_angstrom"]),
        supercell=tuple(said["supercell_angstrom"]),
        thicknesses=tuple(said["thicknesses_angstrom"]),
        indices=indices,
        values=values,
        rows=tuple(tuple(int(n) for n in one) for one in said["rows"]),
        record=said["record"],
        rounding=said["rounding"],
    )
