"""Results of one propagation at rest: one Zarr group, versioned, with checksums that are checked when it is opened."""

import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Arrays = dict[str, npt.NDArray[Any]]


def write_group(
    path: Path, form: tuple[str, int], arrays: Mapping[str, Any], attributes: Mapping[str, Any], *, whole: bool = False
) -> None:
    """Write arrays and attributes; the group appears when it is complete.

    Parameters
    ----------
    path : Path
    form : (str, int)
        What the group says it is, and the version of its layout.
    arrays : mapping of str to array
        One file each; of more than two dimensions, a chunk for every index of the first two.
    attributes : mapping
        JSON-ready.
    whole : bool
        One chunk for every array: of many small pictures, that are always read together.

    Raises
    ------
    InputError
        If ``path`` exists.
    """
    import zarr

    if path.exists():
        raise InputError(f"{path} exists; remove it or choose another name")
    part = path.with_name(path.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    group = zarr.open_group(str(part), mode="w")
    for name, values in arrays.items():
        chunks = (1, 1, *values.shape[2:]) if values.ndim >= 3 and not whole else values.shape
        # chunks of one array share a file: a library of many responses would have more files than disks like
        array = zarr.create_array(
            str(part / name), shape=values.shape, chunks=chunks, shards=values.shape, dtype=values.dtype
        )
        array[:] = values
    checksums = {name: _checksum(values) for name, values in arrays.items()}
    group.attrs.update({"format": form[0], "version": form[1], **attributes, "checksums": checksums})
    part.rename(path)


def read_group(path: Path, form: tuple[str, int], what: str, *older: tuple[str, int]) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and attributes of a group written by `write_group`; ``what`` it is, in words; ``older``: read, too.

    Raises
    ------
    InputError
        If it is none of that form, is damaged, or was written by another version.
    """
    import zarr

    try:
        group = zarr.open_group(str(path), mode="r")
        said: dict[str, Any] = dict(group.attrs)
    except Exception as error:
        raise InputError(f"{path} is no Zarr group that can be read ({type(error).__name__})") from None
    if said.get("format") != form[0]:
        raise InputError(f"{path}: no {what} of RhoTEM")
    if said.get("version") not in (form[1], *(version for _, version in older)):
        raise InputError(f"{path}: version {said.get('version')} of {what}, this RhoTEM reads {form[1]}; make it again")
    try:
        arrays = {name: np.asarray(zarr.open_array(str(path / name), mode="r")[:]) for name in said["checksums"]}
    except Exception as error:
        raise InputError(f"{path}: an array is missing or damaged ({type(error).__name__}); make it again") from None
    damaged = [name for name, values in arrays.items() if _checksum(values) != said["checksums"][name]]
    if damaged:
        raise InputError(f"{path}: {', '.join(damaged)} differ from what was written; make it again")
    return arrays, said


def _checksum(values: npt.NDArray[Any]) -> int:
    return zlib.crc32(values.tobytes())
