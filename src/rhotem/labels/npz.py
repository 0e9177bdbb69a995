"""One label in one npz file: plain, as anything can read it, or compact (design: Labels)."""

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.labels.label import Label
from rhotem.labels.voxels import Selection
from rhotem.labels.waves import Waves
from rhotem.structure.model import Structure

#: Raised with every change of the meaning of a field; files without it are version 1.
SCHEMA = 1
#: What every file has.
NEEDED = {"numbers", "positions", "cell", "deformation", "meta"}


def write_npz(label: Label, path: str | Path, compact: bool = False) -> None:
    """Write the npz file; it appears under its name only when it is complete.

    ``compact`` stores the two bytes of every float16 in separate planes, which compresses a fifth better;
    `read_npz` reads either, numpy alone needs the plain form.
    """
    path = Path(path)
    arrays: dict[str, Any] = {
        "numbers": label.structure.numbers,
        "positions": label.structure.positions,
        "cell": label.structure.cell,
        "charge": np.float64(label.structure.charge),
        "deformation": np.asarray(label.deformation).astype(np.float16),
        "forces": np.asarray(label.forces, dtype=np.float32),
        "magmoms": np.asarray(label.magmoms, dtype=np.float32),
        "meta": json.dumps({"schema": SCHEMA, **label.meta}),
    }
    if label.magnetization is not None:
        arrays["magnetization"] = np.asarray(label.magnetization).astype(np.float16)
    if label.voxels is not None:
        arrays["gaps"] = np.diff(label.voxels.index, prepend=0).astype(np.uint32)
        arrays["weight"] = label.voxels.weight.astype(np.float16)
        arrays["full_shape"] = np.array(label.full_shape)
    if label.waves is not None:
        arrays |= {"wave_indices": label.waves.indices, "waves": label.waves.values.astype(np.complex64)}
    if compact:
        arrays = {k: _planes(v) if isinstance(v, np.ndarray) and v.dtype in _SPLIT else v for k, v in arrays.items()}
        arrays["shape"] = np.array(label.deformation.shape)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "wb") as stream:
            np.savez_compressed(stream, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_npz(path: str | Path) -> Label:
    """Read a label file of any schema version.

    Raises
    ------
    InputError
        If the file is truncated, is not a label or its arrays do not belong together.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: not a readable label file ({error}); it may be truncated: make it again") from error
    if "shape" in arrays:
        arrays = {
            k: _joined(v, arrays["shape"]) if v.dtype == np.uint8 and v.ndim == 2 else v for k, v in arrays.items()
        }
    missing = NEEDED - set(arrays)
    if missing:
        raise InputError(f"{path}: label file lacks {', '.join(sorted(missing))}")
    numbers, positions, cell = arrays["numbers"], arrays["positions"], arrays["cell"]
    sampled = "gaps" in arrays
    if (
        positions.shape != (len(numbers), 3)
        or cell.shape != (3, 3)
        or arrays["deformation"].ndim != (1 if sampled else 3)
    ):
        raise InputError(f"{path}: shapes of numbers, positions, cell and deformation do not belong together")
    meta = json.loads(str(arrays["meta"]))
    if meta.get("schema", 1) > SCHEMA:
        raise InputError(f"{path}: label schema {meta['schema']}, this RhoTEM reads up to {SCHEMA}; update RhoTEM")
    n = len(numbers)
    if (spin := arrays.get("magnetization")) is not None and spin.shape != arrays["deformation"].shape:
        raise InputError(f"{path}: the magnetisation has another shape than the density; make the label again")
    atoms = ase.Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
    charge = float(arrays.get("charge", 0.0))
    return Label(
        structure=Structure(atoms, charge=charge, info={"file": str(path)}),
        deformation=arrays["deformation"],
        magnetization=arrays.get("magnetization"),
        forces=arrays.get("forces", np.full((n, 3), np.nan, dtype=np.float32)),
        magmoms=arrays.get("magmoms", np.zeros(n, dtype=np.float32)),
        meta=meta,
        voxels=_selection(arrays) if sampled else None,
        full_shape=tuple(int(n) for n in arrays["full_shape"]) if sampled else None,  # type: ignore[arg-type]  # three
        waves=Waves(arrays["wave_indices"], arrays["waves"].astype(complex)) if "waves" in arrays else None,
        name=path.stem,
    )


#: Types whose bytes are stored in planes by the compact form.
_SPLIT = (np.dtype(np.float16), np.dtype(np.uint32))


def _planes(array: npt.NDArray) -> npt.NDArray[np.uint8]:
    """(itemsize, n) bytes, most significant last."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(-1, array.dtype.itemsize).T


def _joined(planes: npt.NDArray[np.uint8], shape: npt.NDArray[np.int64]) -> npt.NDArray:
    """Inverse of `_planes`: two planes are float16 of ``shape``, four are uint32."""
    flat = np.ascontiguousarray(planes.T).view("<f2" if len(planes) == 2 else "<u4").ravel()
    return flat.reshape(shape) if flat.size == np.prod(shape) else flat


def _selection(arrays: dict[str, npt.NDArray]) -> Selection:
    return Selection(np.cumsum(arrays["gaps"]).astype(np.int32), arrays["weight"].astype(np.float32))
