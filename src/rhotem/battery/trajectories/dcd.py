"""DCD of CHARMM, NAMD and LAMMPS: positions in single precision; elements from a topology.

Records of Fortran: a head (``CORD``, numbers), titles, the number of atoms, then for every frame an optional cell of
six doubles and x, y, z in three records. The time step in the head has another unit in every program and is not used.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from rhotem.battery.trajectories.asked import Asked, truncated
from rhotem.battery.trajectories.model import Trajectory
from rhotem.core import InputError
from rhotem.structure.read import read_structure
from rhotem.structure.read.cell import cell_of

#: Numbers of the head: fixed atoms, cells in frames, a fourth dimension; counted behind CORD.
FIXED, CELL, FOURTH = 8, 10, 11


def read_dcd(path: Path, asked: Asked) -> Trajectory:
    """Frames of a DCD file; ``asked.topology`` names the elements, and the cell where frames have none.

    Raises
    ------
    InputError
        No topology, other numbers of atoms, no DCD, a file with fixed atoms.
    """
    if asked.topology is None:
        raise InputError(f"{path}: DCD files name no elements; give a structure file of the same atoms with --topology")
    structure = read_structure(asked.topology)
    data = path.read_bytes()
    records = _records(data, path)
    head = next(records, b"")
    if head[:4] != b"CORD" or len(head) != 84:
        raise InputError(f"{path}: no DCD file of coordinates (its head does not say CORD)")
    order = _order(data)
    flags = np.frombuffer(head[4:], dtype=f"{order}i4")
    if flags[FIXED] or flags[FOURTH]:
        raise InputError(f"{path}: DCD with fixed atoms or a fourth dimension is not read; write all atoms")
    next(records, b"")
    count = int(np.frombuffer(next(records, b"\0\0\0\0"), dtype=f"{order}i4")[0])
    if count != len(structure):
        raise InputError(f"{path}: frames of {count} atoms, {asked.topology} has {len(structure)}")
    per_frame = 3 + bool(flags[CELL])
    parts = list(records)
    whole, rest = divmod(len(parts), per_frame)
    notes = [truncated(path, whole, "within the data")] if rest or _cut(data, parts) else []
    frames = [parts[n * per_frame : (n + 1) * per_frame] for n in range(whole)]
    if not frames or any(len(part) != 4 * count for frame in frames for part in frame[-3:]):
        raise InputError(f"{path}: no whole frame, or frames of another size; the file is damaged")
    positions = [np.array([np.frombuffer(p, dtype=f"{order}f4") for p in frame[-3:]]).T for frame in frames]
    cells = [_cell(frame[0], order, path.name) if flags[CELL] else structure.cell for frame in frames]
    if not flags[CELL]:
        notes.append(f"{path.name}: it has no cells; that of {Path(asked.topology).name} is taken")
    return Trajectory(
        np.asarray(structure.numbers, dtype=np.int64),
        np.array(cells),
        np.array(positions, dtype=float),
        asked.times(None, len(frames)),
        None,
        True,
        path.name,
        tuple(notes),
    )


def _order(data: bytes) -> str:
    return "<" if data[:4] == (84).to_bytes(4, "little") else ">"


def _records(data: bytes, path: Path) -> Iterator[bytes]:
    """Whole records; the last one may be cut off."""
    if data[:4] not in ((84).to_bytes(4, "little"), (84).to_bytes(4, "big")):
        raise InputError(f"{path}: no DCD file (its first record is not of 84 bytes)")
    order: Literal["little", "big"] = "little" if _order(data) == "<" else "big"
    at = 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], order)
        end = at + 4 + size
        if end + 4 > len(data):
            return
        if data[end : end + 4] != data[at : at + 4]:
            raise InputError(f"{path}: a record at byte {at} does not end as it begins; the file is damaged")
        yield data[at + 4 : end]
        at = end + 4


def _cut(data: bytes, parts: list[bytes]) -> bool:
    """Whether bytes are left behind the last whole record."""
    return not data.endswith(len(parts[-1]).to_bytes(4, "little" if _order(data) == "<" else "big")) if parts else True


def _cell(record: bytes, order: str, name: str) -> np.ndarray:
    """Cell of a frame: a, γ, b, β, α, c, angles in degrees or as cosines."""
    a, gamma, b, beta, alpha, c = np.frombuffer(record, dtype=f"{order}f8")
    angles = np.array([alpha, beta, gamma])
    if (np.abs(angles) <= 1.0).all():
        angles = np.degrees(np.arccos(angles))
    return cell_of([a, b, c, *angles], name)
