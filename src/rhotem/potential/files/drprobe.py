"""Potentials for Dr. Probe (J. Barthel, Ultramicroscopy 193, 1 (2018)).

Slice files (.sli) hold phase gratings exp(iσV_s), one file per slice, little-endian, header offsets after
common/emsdata.f90 of the Dr. Probe command-line tools (extended header version 2012071101):

    0x0000 int32 n_x        0x0004 int32 n_y        0x0010 int32 1 (complex64)   0x004C char[40] title
    0x0074 int32 version    0x0078 int32 variants   0x0080 int32 0 (phase grating)
    0x0088 int32 offset of the data                 0x008C int32 offset of the atom table (empty: three zeros)
    0x1034 float32 thickness (nm)   0x1040 float32 high tension (kV)   0x1044, 0x1048 float32 size x, y (nm)
    0x2000 complex64 (variants, n_y, n_x), x running fastest

The stack for CELSLC's ``-addpot`` is raw complex64 (slices, n_y, n_x), the mean potential of each slice in V without
relativistic factor. Both checked against the documented layout; not run in Dr. Probe. At most 2048 points a side.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.core.units import interaction_constant
from rhotem.potential.slices import PotentialSlices

VERSION = 2012071101
DATA, ATOM_TABLE = 0x2000, 0x1100
LARGEST = 2048


def write_slices(
    configurations: PotentialSlices | Sequence[PotentialSlices], prefix: str | Path, energy: float
) -> list[Path]:
    """Write one slice file per slice, ``prefix_001.sli`` …, and return their paths.

    Parameters
    ----------
    configurations : PotentialSlices or sequence of them
        Frozen-phonon configurations on the same grid become the variants of every slice.
    prefix : path
        Beginning of the file names.
    energy : float
        Beam energy in eV: a phase grating is made for one energy.

    Raises
    ------
    InputError
        If grids differ or exceed 2048 points a side, or the energy is not between 10 and 1300 keV.
    """
    many = [configurations] if isinstance(configurations, PotentialSlices) else list(configurations)
    _check(many)
    if not 10e3 <= energy <= 1300e3:
        raise InputError(f"Dr. Probe slice files: beam energy {energy} eV, expected 10e3 to 1300e3")
    first = many[0]
    header = _header(first, len(many), energy)
    sigma = interaction_constant(energy)
    digits = max(3, len(str(first.grid.shape[2])))
    paths = []
    for s in range(first.grid.shape[2]):
        gratings = np.stack([np.exp(1j * sigma * p.array[s].T.astype(float)) for p in many])
        path = Path(f"{prefix}_{s + 1:0{digits}d}.sli")
        path.write_bytes(header + gratings.astype("<c8").tobytes())
        paths.append(path)
    return paths


def write_added_potential(potential: PotentialSlices, path: str | Path) -> None:
    """Write the stack that CELSLC adds to its own slices (``-addpot``): V averaged over each slice, complex64.

    For what RhoTEM adds to free atoms, build the slices with a deformation density and subtract those without.
    """
    _check([potential])
    mean = potential.array.transpose(0, 2, 1) / potential.thickness
    Path(path).write_bytes(mean.astype("<c8").tobytes())


def _check(many: Sequence[PotentialSlices]) -> None:
    if not many or any(p.grid != many[0].grid for p in many):
        raise InputError("Dr. Probe files: needs one or more potentials on the same grid")
    n_x, n_y, _ = many[0].grid.shape
    if max(n_x, n_y) > LARGEST:
        raise InputError(
            f"Dr. Probe files: {n_x} x {n_y} points, at most {LARGEST} a side; use a coarser or smaller cell"
        )


def _header(potential: PotentialSlices, variants: int, energy: float) -> bytes:
    n_x, n_y, _ = potential.grid.shape
    header = bytearray(DATA)
    struct.pack_into("<2i", header, 0x0000, n_x, n_y)
    struct.pack_into("<i", header, 0x0010, 1)
    header[0x004C : 0x004C + 40] = b"RhoTEM phase grating".ljust(40, b"\0")
    struct.pack_into("<2i", header, 0x0074, VERSION, variants)
    struct.pack_into("<i", header, 0x0080, 0)
    struct.pack_into("<2i", header, 0x0088, DATA, ATOM_TABLE)
    struct.pack_into("<f", header, 0x1034, potential.thickness / 10.0)
    struct.pack_into("<3f", header, 0x1040, energy / 1e3, potential.extent[0] / 10.0, potential.extent[1] / 10.0)
    return bytes(header)
