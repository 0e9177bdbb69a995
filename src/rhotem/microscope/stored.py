"""Results of one propagation at rest: one Zarr group, versioned, with checksums that are checked when it is opened."""

import json
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Arrays = dict[str, npt.NDArray[Any]]

#: Attribute that holds the checksum of the others, and those that are no part of it: the latter are compared with what
#: `WRITTEN` says, and with the arrays.
SEAL, OUTSIDE = "attributes_checksum", ("format", "version", "checksums")
#: Attribute that says form, types and shapes: bytes alone do not tell 2 × 3 from 3 × 2 numbers.
WRITTEN = "written"


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
    about = sealed({**attributes, WRITTEN: _written(form, arrays)})
    group.attrs.update({"format": form[0], "version": form[1], **about, "checksums": checksums})
    part.rename(path)


def read_group(path: Path, form: tuple[str, int], what: str, *older: tuple[str, int]) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and attributes of a group written by `write_group`; ``what`` it is, in words; ``older``: read, too.

    Attributes of groups that were written before these had a checksum are believed.

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
    unbroken(path, said)
    if WRITTEN in said and said[WRITTEN] != _written((said["format"], said["version"]), arrays):
        raise InputError(f"{path}: form, types or shapes differ from what was written; make it again")
    return arrays, said


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Refuse a group in one line where attributes, believed for want of a checksum, are not what they should be.

    Raises
    ------
    InputError
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: what it says of itself is damaged ({type(error).__name__}); make it again") from None


def sealed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with the checksum of what they say."""
    return {**attributes, SEAL: _said(attributes)}


def unbroken(path: str | Path, said: Mapping[str, Any]) -> None:
    """Refuse attributes that differ from what was written; those of older groups have no checksum and are believed.

    Raises
    ------
    InputError
    """
    if SEAL in said and said[SEAL] != _said(said):
        raise InputError(f"{path}: what it says of itself differs from what was written; make it again")


def _said(attributes: Mapping[str, Any]) -> int:
    """Checksum of attributes as JSON gives them back: numbers of Python come back bit for bit."""
    kept = {name: value for name, value in attributes.items() if name != SEAL and name not in OUTSIDE}
    return zlib.crc32(json.dumps(json.loads(json.dumps(kept)), sort_keys=True).encode())


def _written(form: tuple[str, int], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Form of a group, and types and shapes of its arrays, as JSON gives them back."""
    shapes = {name: [np.asarray(values).dtype.str, *np.shape(values)] for name, values in arrays.items()}
    return {"format": form[0], "version": form[1], "arrays": shapes}


def _checksum(values: npt.NDArray[Any]) -> int:
    return zlib.crc32(values.tobytes())
