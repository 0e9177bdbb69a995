"""Zarr groups: the same entries as RhoTEM's npz, the grid in chunks. Written so that zarr 2 and 3 both read it."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.density.field import DensityField
from rhotem.density.files.arrays import from_mapping, to_mapping
from rhotem.density.files.format import Format
from rhotem.density.files.raw import RawDensity

#: Points per chunk and axis: 64³ double values are 2 MB.
CHUNK = 64


def read_zarr(path: Path) -> RawDensity:
    """Read a group written by `write_zarr`, or any with ``density``, ``numbers``, ``positions``, ``cell``.

    Raises
    ------
    InputError
        If the folder is no zarr group or entries are missing.
    """
    import zarr

    try:
        group = zarr.open_group(str(path), mode="r")
        data: dict[str, Any] = {name: np.asarray(cast(Any, group[name])[...]) for name in group.array_keys()}
        if "meta" in group.attrs:
            data["meta"] = group.attrs["meta"]
    except Exception as error:  # zarr 2 and 3 raise different, undocumented types for damaged stores
        raise InputError(f"{path}: cannot be read as a zarr group ({str(error)[:120]})") from None
    return from_mapping(path, data, "zarr")


def write_zarr(field: DensityField, path: Path) -> None:
    """Write everything a field holds to a new zarr group (format 2) at ``path``."""
    group = open_group(path)
    _create(group, "values", np.ascontiguousarray(field.values))
    write_small(group, field)


def open_group(path: Path) -> Any:
    """A new group (format 2)."""
    import zarr

    version: dict[str, Any] = {"zarr_format": 2} if hasattr(zarr.Group, "create_array") else {}
    return zarr.open_group(str(path), mode="w", **version)


def write_small(group: Any, field: DensityField) -> None:
    """Everything a field holds but its values."""
    for name, value in to_mapping(field).items():
        if name == "meta":
            group.attrs["meta"] = value
        elif name != "values":
            _create(group, name, np.ascontiguousarray(value))


def _create(group: Any, name: str, array: npt.NDArray) -> None:
    chunks = tuple(max(1, min(CHUNK, n)) for n in array.shape)
    new_array(group, name, array.shape, chunks, array.dtype)[...] = array


def new_array(group: Any, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
    """An empty array in a group, by either version of the library."""
    create = group.create_array if hasattr(group, "create_array") else group.create_dataset
    return create(name, shape=shape, chunks=chunks, dtype=dtype)


FORMAT = Format("zarr", lambda path, structure, endpoint: read_zarr(path), write_zarr, "folder", whole=True)
