"""Labelled frames on disk, piece by piece: what a killed exploration goes on from."""

import os
from collections.abc import Sequence
from pathlib import Path

import ase

from rhotem.battery.distillation.explore import Piece
from rhotem.core import Progress

#: Names in the folder of a distillation and of a turn.
LEARNED_FRAMES, HELD_FRAMES = "learned.extxyz", "held-out.extxyz"


def gathered(pieces: Sequence[Piece], target: Path, stage: str, progress: Progress) -> list[ase.Atoms]:
    """Frames of all pieces, from ``target`` (extended xyz) or made and written there; whole or not there.

    Pieces that are done are kept in a folder beside it until all are.
    """
    if not target.exists():
        parts = target.with_suffix(".parts")
        parts.mkdir(parents=True, exist_ok=True)
        for n, (_, make) in enumerate(pieces):
            part = parts / f"{n:04d}.extxyz"
            if not part.exists():
                write_frames(part, list(make()))
            progress(stage, n + 1, len(pieces))
        frames = [frame for n in range(len(pieces)) for frame in read_frames(parts / f"{n:04d}.extxyz")]
        write_frames(target, frames)
        for part in parts.iterdir():
            part.unlink()
        parts.rmdir()
    return read_frames(target)


def read_frames(path: Path) -> list[ase.Atoms]:
    """Frames of an extended-xyz file with their labels."""
    from ase.io import read

    return list(read(path, index=":", format="extxyz")) if path.stat().st_size else []


def write_frames(path: Path, frames: Sequence[ase.Atoms]) -> None:
    """Write an extended-xyz file, whole or not there."""
    from ase.io import write

    temporary = path.with_name(path.name + ".tmp")
    if frames:
        write(temporary, frames, format="extxyz")
    else:  # all atoms were on top of each other
        temporary.touch()
    os.replace(temporary, path)
