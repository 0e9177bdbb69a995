"""NumPy files: RhoTEM's own npz, the label npz, any npz with ``density``, and bare npy arrays."""

import json
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField, OneCentre
from rhotem.density.files.format import Format
from rhotem.density.files.raw import Content, RawDensity, check_atoms
from rhotem.structure.model import Structure

FORMAT = "rhotem-density"
VERSION = 1
#: What the names of arrays in other npz files mean; the first one present is read.
NAMES: tuple[tuple[str, Content], ...] = (
    ("deformation", "deformation"),
    ("valence", "valence"),
    ("total", "total"),
    ("density", "unknown"),
    ("values", "unknown"),
    ("rho", "unknown"),
)


def read_npz(path: Path) -> RawDensity:
    """Read an npz: RhoTEM's own, a label, or one with ``density``, ``numbers``, ``positions`` and ``cell``.

    Raises
    ------
    InputError
        Not an npz, arrays missing or of the wrong shape, a newer format version.
    """
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: cannot be read as npz, its content is none; it is truncated or something else")
    try:
        with np.load(path, allow_pickle=False) as archive:
            data = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path}: cannot be read as npz ({error})") from None
    return from_mapping(path, data, "npz")


def from_mapping(path: Path, data: dict[str, Any], kind_of_file: str) -> RawDensity:
    """A `RawDensity` from named arrays; shared by npz and zarr."""
    meta = _json(path, data.get("meta"))
    name = next((n for n, _ in NAMES if n in data), None)
    missing = [k for k in ("numbers", "positions", "cell") if k not in data]
    if name is None or missing:
        wanted = ", ".join(missing or [n for n, _ in NAMES])
        raise InputError(f"{path}: has {sorted(data)}, expected also {wanted}")
    content: Content = dict(NAMES)[name]
    if meta.get("format") == FORMAT:
        if meta.get("version", 0) > VERSION:
            raise InputError(f"{path}: format version {meta['version']}, this RhoTEM reads up to {VERSION}; update it")
        content = meta["kind"]
    values = check_values(path, data[name])
    cell = np.asarray(data["cell"])
    if cell.shape != (3, 3) or cell.dtype.kind not in "fiu" or abs(np.linalg.det(cell)) < 1e-6 or not values.size:
        raise InputError(
            f"{path}: cell of shape {cell.shape} and values of shape {values.shape}, expected three vectors "
            "in Å as rows that span a volume, and points in it"
        )
    grid = PeriodicGrid(cell, values.shape)
    spin = data.get("spin", data.get("magnetization"))
    if spin is not None:
        spin = check_values(path, spin)
        if spin.shape != values.shape:
            raise InputError(f"{path}: spin density has shape {spin.shape}, the density {values.shape}")
    atoms = check_atoms(path, np.asarray(data["numbers"]), np.asarray(data["positions"], dtype=float), grid.cell.copy())
    charge = float(data.get("charge", meta.get("charge", 0.0)))
    one_centre = tuple(
        OneCentre(int(a), np.asarray(data[f"one_centre_{i}_radii"]), np.asarray(data[f"one_centre_{i}_values"]))
        for i, a in enumerate(np.atleast_1d(data.get("one_centre_atoms", [])))
    )
    structure = Structure(atoms, charge, None, meta.get("info", {}))
    return RawDensity(structure, grid, values, spin, content, kind_of_file, path, one_centre, meta)


def read_npy(path: Path, structure: Structure | None) -> RawDensity:
    """Read a bare array; its cell and atoms are those of ``structure``. A last axis of length 1 (MALA) is dropped.

    Raises
    ------
    InputError
        If no structure is given or the file holds no three-dimensional array.
    """
    if structure is None:
        raise InputError(f"{path}: a bare array has no cell and no atoms; give the structure with it, or use npz")
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as npy ({error})") from None
    values = check_values(path, values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values)
    return RawDensity(structure, PeriodicGrid(structure.cell, values.shape), values, None, "unknown", "npy", path)


def check_values(path: Path, values: npt.NDArray) -> npt.NDArray:
    """Real, finite, three-dimensional values in at least single precision."""
    values = np.asarray(values)
    if values.ndim != 3 or not np.issubdtype(values.dtype, np.floating):
        raise InputError(f"{path}: array of shape {values.shape} and type {values.dtype}, expected 3 axes of floats")
    if not np.isfinite(values).all():
        raise InputError(f"{path}: contains {int((~np.isfinite(values)).sum())} values that are not finite")
    return values.astype(np.float64 if values.dtype == np.float64 else np.float32)


def to_mapping(field: DensityField) -> dict[str, Any]:
    """Named arrays and a JSON record (``meta``) that hold all of a field; inverse of `from_mapping`."""
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "kind": field.kind,
        "units": "e/A^3; positions and cell in A, cell vectors are rows; endpoint excluded",
        "charge": field.structure.charge,
        "reference": field.reference,
        "source": field.source,
        "record": field.record,
        "info": field.structure.info,
    }
    data: dict[str, Any] = {
        "values": field.values,
        "cell": field.grid.cell,
        "numbers": field.structure.numbers,
        "positions": field.structure.positions,
        "meta": json.dumps(meta, default=str),
    }
    if field.spin is not None:
        data["spin"] = field.spin
    if field.one_centre:
        data["one_centre_atoms"] = np.array([term.atom for term in field.one_centre])
    for i, term in enumerate(field.one_centre):
        data[f"one_centre_{i}_radii"] = term.radii
        data[f"one_centre_{i}_values"] = term.values
    return data


def write_npz(field: DensityField, stream: BinaryIO) -> None:
    """Write everything a field holds, one-centre terms included, to an open binary stream."""
    np.savez_compressed(stream, **to_mapping(field))


def write_npy(field: DensityField, stream: BinaryIO) -> None:
    """Write the bare grid values."""
    np.save(stream, np.asarray(field.values))


def _json(path: Path, meta: Any) -> dict:
    if meta is None:
        return {}
    try:
        found = json.loads(str(np.asarray(meta)[()]))
    except ValueError:
        raise InputError(f"{path}: its meta entry is not JSON") from None
    return found if isinstance(found, dict) else {}


NPZ = Format("npz", lambda path, structure, endpoint: read_npz(path), write_npz, "binary", whole=True)
NPY = Format("npy", lambda path, structure, endpoint: read_npy(path, structure), write_npy, "binary")
