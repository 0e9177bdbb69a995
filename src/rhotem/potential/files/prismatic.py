"""Potential slices for Prismatic ("import potential"), HDF5.

Layout after Prismatic 2.0, src/fileIO.cpp (setupOutputFile, savePotentialSlices, writeMetadata) and
src/PRISM01_calcPotential.cpp (PRISM01_importPotential): dataset
``4DSTEM_simulation/data/realslices/ppotential_fpNNNN/data`` with shape (n_x, n_y, slices), float32, V·Å, first slice at
the entrance; cell (Å) and tiling in the attributes ``c`` and ``t`` of
``4DSTEM_simulation/metadata/metadata_0/original/simulation_parameters``, both in x, y, z order.
Checked against that layout; not run in Prismatic.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.potential.slices import PotentialSlices

ROOT = "4DSTEM_simulation"
_GROUPS = (
    *(f"data/{name}" for name in ("datacubes", "diffractionslices", "pointlists", "pointlistarrays", "supergroups")),
    "log",
    *(f"metadata/metadata_0/{name}" for name in ("microscope", "sample", "user", "calibration", "comments")),
    "metadata/metadata_0/original/shortlist",
    "metadata/metadata_0/original/all",
)


def write_prismatic(configurations: PotentialSlices | Sequence[PotentialSlices], path: str | Path) -> None:
    """Write one or several (frozen-phonon) configurations of a potential for Prismatic.

    Parameters
    ----------
    configurations : PotentialSlices or sequence of them
        On the same grid.
    path : path of the HDF5 file
        Overwritten.

    Raises
    ------
    InputError
        If the configurations are on different grids.
    """
    import h5py

    many = [configurations] if isinstance(configurations, PotentialSlices) else list(configurations)
    if not many or any(p.grid != many[0].grid for p in many):
        raise InputError("Prismatic file: needs one or more potentials on the same grid")
    first = many[0]
    with h5py.File(path, "w") as file:
        root = file.create_group(ROOT)
        root.attrs.create("version_major", 0, dtype="i4")
        root.attrs.create("version_minor", 5, dtype="i4")
        root.attrs.create("emd_group_type", 2, dtype="i4")
        for name in _GROUPS:
            root.create_group(name)
        slices = root.create_group("data/realslices")
        for index, potential in enumerate(many):
            _write_configuration(slices.create_group(f"ppotential_fp{index:04d}"), potential)
        parameters = root.create_group("metadata/metadata_0/original/simulation_parameters")
        parameters.attrs.create("c", np.diag(first.grid.cell), dtype="f4")
        parameters.attrs.create("t", np.ones(3), dtype="f4")
        parameters.attrs.create("px", first.sampling[0], dtype="f4")
        parameters.attrs.create("py", first.sampling[1], dtype="f4")
        parameters.attrs.create("s", first.thickness, dtype="f4")
        parameters.attrs.create("F", len(many), dtype="i4")


def _write_configuration(group, potential: PotentialSlices) -> None:  # type: ignore[no-untyped-def]  # h5py.Group
    group.attrs.create("emd_group_type", 1, dtype="i4")
    group.attrs.create("metadata", 0, dtype="i4")
    steps = (*potential.sampling, potential.thickness)
    for axis, (n, step, name) in enumerate(zip(potential.grid.shape, steps, ("R_x", "R_y", "R_z"), strict=True)):
        dimension = group.create_dataset(f"dim{axis + 1}", data=np.arange(n, dtype=np.float32) * np.float32(step))
        dimension.attrs["name"] = np.bytes_(name)
        dimension.attrs["units"] = np.bytes_("[Å]".encode())
    group.create_dataset("data", data=np.ascontiguousarray(potential.array.transpose(1, 2, 0), dtype=np.float32))
