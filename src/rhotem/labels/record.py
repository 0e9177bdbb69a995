"""One DFT label: a structure and its deformation density, in one npz file (design: Labels)."""

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.labels.voxels import Selection
from rhotem.structure.model import Structure

#: Raised with every change of the meaning of a field; files without it are version 1.
SCHEMA = 1


@dataclass(frozen=True, eq=False)
class LabelRecord:
    """A structure with its deformation density on a grid.

    Parameters
    ----------
    structure : Structure
        Atoms and total charge of the cell.
    deformation : (n1, n2, n3) array
        All-electron valence density minus superposed free-atom valence densities in e/Å³, ``∫ = −charge``
        but for on-grid noise at the nuclei (see `rhotem.labels.treatment`).
    magnetization : array of the same shape or None
        n↑ − n↓ in e/Å³ of spin-polarised cells.
    forces : (N, 3) array
        eV/Å; NaN where unknown.
    magmoms : (N,) array
        Local moments in Bohr magnetons.
    meta : dict
        Energy, settings, counts, seconds, and what the structure is (``prototype``, ``composition``, ``ordering`` …).
    voxels : Selection or None
        Only chosen voxels are kept: ``deformation`` (treated near nuclei) and ``magnetization`` are then (n,) arrays.
    full_shape : tuple of three int or None
        Grid of a record with chosen voxels.
    """

    structure: Structure
    deformation: npt.NDArray
    magnetization: npt.NDArray | None
    forces: npt.NDArray
    magmoms: npt.NDArray
    meta: dict[str, Any] = field(default_factory=dict)
    voxels: Selection | None = None
    full_shape: tuple[int, int, int] | None = None

    @property
    def grid(self) -> PeriodicGrid:
        """Grid of the calculation."""
        return PeriodicGrid(self.structure.cell, self.full_shape or self.deformation.shape)

    def write(self, path: str | Path, compact: bool = False) -> None:
        """Write the npz file; it appears under its name only when it is complete.

        ``compact`` stores the two bytes of every float16 in separate planes, which compresses a fifth better;
        `read_record` reads either, numpy alone needs the plain form.
        """
        path = Path(path)
        arrays: dict[str, Any] = {
            "numbers": self.structure.numbers,
            "positions": self.structure.positions,
            "cell": self.structure.cell,
            "charge": np.float64(self.structure.charge),
            "deformation": np.asarray(self.deformation).astype(np.float16),
            "forces": np.asarray(self.forces, dtype=np.float32),
            "magmoms": np.asarray(self.magmoms, dtype=np.float32),
            "meta": json.dumps({"schema": SCHEMA, **self.meta}),
        }
        if self.magnetization is not None:
            arrays["magnetization"] = np.asarray(self.magnetization).astype(np.float16)
        if self.voxels is not None:
            arrays["gaps"] = np.diff(self.voxels.index, prepend=0).astype(np.uint32)
            arrays["weight"] = self.voxels.weight.astype(np.float16)
            arrays["full_shape"] = np.array(self.full_shape)
        if compact:
            arrays = {
                k: _planes(v) if isinstance(v, np.ndarray) and v.dtype in _SPLIT else v for k, v in arrays.items()
            }
            arrays["shape"] = np.array(self.deformation.shape)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with open(unfinished, "wb") as stream:
                np.savez_compressed(stream, **arrays)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def read_record(path: str | Path) -> LabelRecord:
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
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable label file ({error}); it may be truncated: make it again") from error
    if "shape" in arrays:
        arrays = {
            k: _joined(v, arrays["shape"]) if v.dtype == np.uint8 and v.ndim == 2 else v for k, v in arrays.items()
        }
    missing = {"numbers", "positions", "cell", "deformation", "meta"} - set(arrays)
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
    atoms = ase.Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
    charge = float(arrays.get("charge", 0.0))
    return LabelRecord(
        structure=Structure(atoms, charge=charge, info={"file": str(path)}),
        deformation=arrays["deformation"],
        magnetization=arrays.get("magnetization"),
        forces=arrays.get("forces", np.full((n, 3), np.nan, dtype=np.float32)),
        magmoms=arrays.get("magmoms", np.zeros(n, dtype=np.float32)),
        meta=meta,
        voxels=_selection(arrays) if sampled else None,
        full_shape=tuple(int(n) for n in arrays["full_shape"]) if sampled else None,  # type: ignore[arg-type]  # three
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
