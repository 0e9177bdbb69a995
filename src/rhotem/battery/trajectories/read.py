"""`read_trajectory`, and the table of formats: by the ending or the name of the file, never by a guess."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rhotem.battery.trajectories.ase_traj import read_ase_traj
from rhotem.battery.trajectories.asked import Asked
from rhotem.battery.trajectories.dcd import read_dcd
from rhotem.battery.trajectories.extxyz import read_extxyz
from rhotem.battery.trajectories.lammps import read_lammps
from rhotem.battery.trajectories.model import Trajectory
from rhotem.battery.trajectories.xdatcar import read_xdatcar
from rhotem.core import InputError


@dataclass(frozen=True)
class Format:
    """A trajectory format: its name, the endings of its files, names that stand for it, and what reads it."""

    name: str
    endings: tuple[str, ...]
    read: Callable[[Path, Asked], Trajectory]
    names: str = "(?!)"


#: Every format.
FORMATS: tuple[Format, ...] = (
    Format("extended xyz", (".extxyz", ".xyz", ".exyz"), read_extxyz),
    Format("ASE trajectory", (".traj",), read_ase_traj),
    Format("LAMMPS dump", (".lammpstrj", ".dump"), read_lammps),
    Format("XDATCAR", (".xdatcar",), read_xdatcar, r"(?i).*XDATCAR.*"),
    Format("DCD", (".dcd",), read_dcd),
)
COMPRESSED = (".gz", ".bz2", ".xz")


def read_trajectory(path: str | Path, asked: Asked | None = None) -> Trajectory:
    """Frames of a trajectory file: extended xyz, ASE .traj, LAMMPS dump, XDATCAR, DCD.

    A file that ends within a frame, of a run that goes on or was killed, is read up to its last whole frame, with a
    remark that says how many there are.

    Parameters
    ----------
    path : path
        Text files may be compressed (.gz, .bz2, .xz).
    asked : Asked, optional
        What the file does not say: elements of its types, the topology, the time step.

    Raises
    ------
    InputError
        If the file is missing, of no known format or damaged; if it holds no whole frame, frames of other atoms, no
        elements, no cell, or positions that are no numbers.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the trajectory file inside it")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    read = _format_of(path).read(path, asked or Asked())
    _check(path, read)
    notes = list(read.notes)
    if read.unsure:
        notes.append(
            f"{path.name}: {read.unsure} steps of atoms are longer than 0.3 of the cell; where the file wraps "
            "positions their ways are not sure, store frames more often"
        )
    return replace(read, notes=tuple(notes))


def _format_of(path: Path) -> Format:
    name = path.name
    for suffix in COMPRESSED:
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    for form in FORMATS:
        if Path(name).suffix.lower() in form.endings or re.fullmatch(form.names, name):
            return form
    known = ", ".join(end for form in FORMATS for end in form.endings)
    raise InputError(f"{path}: not known as a trajectory; its name should end with {known}, or be XDATCAR")


def _check(path: Path, read: Trajectory) -> None:
    """Refuse what is no trajectory of a crystal."""
    if not len(read):
        raise InputError(f"{path}: no whole frame in it; the file is truncated")
    for what, values in (("a position", read.positions), ("a cell", read.cells), ("a velocity", read.velocities)):
        if values is not None and not np.isfinite(values).all():
            frame = int(np.argmin(np.isfinite(values).all(axis=(1, 2)))) + 1
            raise InputError(f"{path}: {what} of frame {frame} is no finite number; the run went wrong there")
    flat = np.abs(np.linalg.det(read.cells)) < 1e-6
    if flat.any():
        raise InputError(
            f"{path}: frame {int(np.argmax(flat)) + 1} has no cell of three directions; paths of ions need one"
        )
    if read.times is not None and len(read) > 1 and (np.diff(read.times) <= 0).any():
        frame = int(np.argmax(np.diff(read.times) <= 0)) + 2
        raise InputError(
            f"{path}: time goes back at frame {frame} ({read.times[frame - 2]:g} fs, then {read.times[frame - 1]:g}); "
            "frames stand there twice or of two runs, cut the file"
        )
