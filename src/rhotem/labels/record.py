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
    """

    structure: Structure
    deformation: npt.NDArray
    magnetization: npt.NDArray | None
    forces: npt.NDArray[np.float32]
    magmoms: npt.NDArray[np.float32]
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> PeriodicGrid:
        """Grid of ``deformation``."""
        return PeriodicGrid(self.structure.cell, self.deformation.shape)

    def write(self, path: str | Path) -> None:
        """Write the npz file; it appears under its name only when it is complete."""
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
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable label file ({error}); it may be truncated: make it again") from error
    missing = {"numbers", "positions", "cell", "deformation", "meta"} - set(arrays)
    if missing:
        raise InputError(f"{path}: label file lacks {', '.join(sorted(missing))}")
    numbers, positions, cell = arrays["numbers"], arrays["positions"], arrays["cell"]
    if positions.shape != (len(numbers), 3) or cell.shape != (3, 3) or arrays["deformation"].ndim != 3:
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
    )
