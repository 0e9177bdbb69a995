"""RhoTEM's own potential file: one Zarr group, chunked by slice, that says what it holds.

Layout (format version 1): group attributes ``format = "rhotem-potential"``, ``version``, ``cell_A`` (3 × 3, rows),
``mean_inner_potential_V``, ``record`` (JSON text); array ``potential`` of shape (S, n_x, n_y), float32 or float64, with
attributes ``units = "V Å"``, ``axes = ["z", "x", "y"]``, ``thickness_A`` and ``sampling_A``.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import InputError, PeriodicGrid
from rhotem.potential.slices import PotentialSlices

FORMAT = "rhotem-potential"
VERSION = 1


def write_potential(potential: PotentialSlices, path: str | Path) -> None:
    """Write slices as a Zarr group; it appears under its name only when complete, replacing an older one."""
    import zarr

    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        group = zarr.open_group(str(partial), mode="w")
        array = zarr.open_array(
            str(partial / "potential"),
            mode="w",
            shape=potential.array.shape,
            chunks=(1, *potential.array.shape[1:]),
            dtype=potential.array.dtype,
        )
        array[:] = potential.array
        array.attrs.update(
            units="V Å",
            axes=["z", "x", "y"],
            thickness_A=potential.thickness,
            sampling_A=list(potential.sampling),
        )
        group.attrs.update(
            format=FORMAT,
            version=VERSION,
            cell_A=potential.grid.cell.tolist(),
            mean_inner_potential_V=potential.mean_inner_potential,
            record=json.dumps(potential.record),
        )
        if target.is_dir():
            shutil.rmtree(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_potential(path: str | Path) -> PotentialSlices:
    """Slices from a file of `write_potential`.

    Raises
    ------
    InputError
        If it is not such a file, or of a newer version.
    """
    import zarr

    try:
        group = zarr.open_group(str(path), mode="r")
        attributes: dict[str, Any] = dict(group.attrs)
        if attributes["format"] != FORMAT or attributes["version"] > VERSION:
            raise InputError(
                f"{path}: {attributes['format']} version {attributes['version']}, expected {FORMAT} up to {VERSION}"
            )
        array = np.asarray(zarr.open_array(str(Path(path) / "potential"), mode="r")[:])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a RhoTEM potential file ({error})") from error
    n_z, n_x, n_y = array.shape
    grid = PeriodicGrid(np.array(attributes["cell_A"]), (n_x, n_y, n_z))
    record = json.loads(attributes["record"])
    return PotentialSlices(array, grid, attributes["mean_inner_potential_V"], record, record.get("oversampling", 1))
