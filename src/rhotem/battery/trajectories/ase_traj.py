"""ASE's own trajectories (.traj), by ASE."""

from pathlib import Path

import numpy as np

from rhotem.battery.trajectories.asked import TIMES, Asked, same_atoms, truncated
from rhotem.battery.trajectories.model import Trajectory
from rhotem.core import InputError


def read_ase_traj(path: Path, asked: Asked) -> Trajectory:
    """Frames of a .traj file; ``time`` of a frame's info is in fs, ``time_ps`` in ps.

    Raises
    ------
    InputError
        Where ASE fails before the last frame.
    """
    from ase import units
    from ase.io.trajectory import TrajectoryReader

    notes: list[str] = []
    try:
        reader = TrajectoryReader(str(path))
    except Exception as error:  # ASE's reader fails in its own ways on a corrupt file
        raise InputError(f"{path}: not read as an ASE trajectory ({error or type(error).__name__})") from None
    frames = []
    with reader:
        number = len(reader)
        for place in range(number):
            try:
                frames.append(reader[place])
            except Exception as error:  # as above
                if place < number - 1:
                    why = error or type(error).__name__
                    raise InputError(f"{path}: frame {place + 1} is damaged ({why})") from None
                notes.append(truncated(path, place, "within the data"))
    if not frames:
        raise InputError(f"{path}: no whole frame in it")
    for place, atoms in enumerate(frames, start=1):
        same_atoms(path, place, frames[0].numbers, atoms.numbers)
    times = [
        next((unit * atoms.info[key] for key, unit in TIMES.items() if key in atoms.info), None) for atoms in frames
    ]
    own = None if any(time is None for time in times) else np.array(times, dtype=float)
    moving = all(atoms.has("momenta") for atoms in frames)
    return Trajectory(
        np.asarray(frames[0].numbers, dtype=np.int64),
        np.array([atoms.cell.array for atoms in frames]),
        np.array([atoms.positions for atoms in frames]),
        asked.times(own, len(frames)),
        np.array([atoms.get_velocities() * units.fs for atoms in frames]) if moving else None,
        True,
        path.name,
        tuple(notes),
    )
