"""Extended xyz: a cell, species and positions in every frame; time and velocities where they are said."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.trajectories.asked import TIMES, Asked, same_atoms, truncated
from rhotem.battery.trajectories.model import Trajectory
from rhotem.core import InputError
from rhotem.structure.read.contents import Text
from rhotem.structure.read.elements import of_symbol


def read_extxyz(path: Path, asked: Asked) -> Trajectory:
    """Frames of an extended xyz file.

    Columns ``momenta`` are those of ASE; ``velocities`` are Å/fs. ``time`` of the comment line is in fs,
    ``time_ps`` in ps. Where every frame says ``wrapped=F``, as those of `rhotem md` do, positions are taken as they
    are; else every step is one to the nearest image.

    Raises
    ------
    InputError
        Damaged frames, unknown elements, frames of other atoms, no Lattice.
    """
    text = Text(path)
    notes: list[str] = []
    frames: list[_Frame] = []
    while text.more:
        if not text.peek().strip():
            text.need("")
            continue
        count = _count(text)
        if text.number + 1 + count > len(text.lines):
            notes.append(truncated(path, len(frames), "within the atoms"))
            break
        if text.number + 1 + count == len(text.lines) and not text.all.endswith("\n"):
            notes.append(truncated(path, len(frames), "within a row"))  # a number cut short reads as another one
            break
        frame = _frame(text, count)
        if frames:
            same_atoms(path, len(frames) + 1, frames[0].numbers, frame.numbers)
        frames.append(frame)
    if not frames:
        raise InputError(f"{path}: no whole frame in it")
    own = _all([frame.time for frame in frames])
    speeds = _all([frame.velocities for frame in frames])
    return Trajectory(
        frames[0].numbers,
        np.array([frame.cell for frame in frames]),
        np.array([frame.positions for frame in frames]),
        asked.times(own, len(frames)),
        speeds,
        any(frame.wrapped for frame in frames),
        path.name,
        tuple(notes),
    )


class _Frame:
    """One frame: its columns, read once it is known which they are."""

    def __init__(self, comment: dict[str, Any], columns: dict[str, npt.NDArray], numbers: npt.NDArray) -> None:
        self.numbers, self.cell = numbers, comment["Lattice"]
        self.positions = columns["pos"].astype(float)
        self.time, self.wrapped = comment["time"], comment["wrapped"]
        self.velocities = None
        if "momenta" in columns:
            from ase import units
            from ase.data import atomic_masses

            mass = atomic_masses[numbers][:, None]
            self.velocities = columns["momenta"].astype(float) / mass * units.fs
        elif "velocities" in columns:
            self.velocities = columns["velocities"].astype(float)


def _count(text: Text) -> int:
    line = text.need("the number of atoms").strip()
    if not line.isdigit() or int(line) < 1:
        raise text.fail("the number of atoms of a frame")
    return int(line)


def _frame(text: Text, count: int) -> _Frame:
    comment = text.need("the comment line")
    said = _said(text, comment)
    start = text.number
    rows = text.lines[start : start + count]
    text.number = start + count
    words = [row.split() for row in rows]
    fields = said["Properties"]
    width = sum(n for _, n in fields)
    wrong = next((n for n, row in enumerate(words) if len(row) != width), None)
    if wrong is not None:
        text.number = start + wrong + 1
        raise text.fail(f"an atom with {width} columns")
    table = np.array(words)
    columns, at = {}, 0
    for name, n in fields:
        columns[name] = table[:, at] if n == 1 else table[:, at : at + n]
        at += n
    if "species" not in columns or "pos" not in columns:
        raise InputError(f"{text.path}: line {start} names no species and pos; write extended xyz")
    try:
        return _Frame(said, columns, _numbers(text, columns["species"], start))
    except ValueError as error:
        raise InputError(f"{text.path}: a frame behind line {start} has a value that is no number ({error})") from None


def _numbers(text: Text, symbols: npt.NDArray, start: int) -> npt.NDArray[np.int64]:
    from ase.data import atomic_numbers

    kinds, places = np.unique(symbols, return_inverse=True)
    numbers = []
    for kind in kinds:
        reading = of_symbol(str(kind))
        if reading is None:
            raise InputError(f"{text.path}: {kind} behind line {start} is no element; expected a chemical symbol")
        numbers.append(atomic_numbers[reading.symbol])
    return np.array(numbers, dtype=np.int64)[places]


def _said(text: Text, comment: str) -> dict[str, Any]:
    """Lattice, Properties, time, and whether positions may be wrapped, of a comment line."""
    lattice = re.search(r'[Ll]attice\s*=\s*["{]([^"}]*)["}]', comment)
    if lattice is None:
        raise InputError(f"{text.path}: line {text.number} has no Lattice; a trajectory needs the cell of every frame")
    try:
        cell = np.array([float(word) for word in lattice[1].split()]).reshape(3, 3)
    except ValueError:
        raise text.fail("a Lattice of nine numbers") from None
    listed = re.search(r"Properties\s*=\s*\"?([^\s\"]+)", comment)
    parts = (listed[1] if listed else "species:S:1:pos:R:3").split(":")
    if len(parts) % 3:
        raise text.fail("Properties of names, kinds and numbers of columns")
    fields = [(name.lower(), int(n)) for name, n in zip(parts[::3], parts[2::3], strict=True)]
    found = re.search(rf"(?:^|\s)({'|'.join(TIMES)})\s*=\s*\"?([-+.\deE]+)", comment)
    return {
        "Lattice": cell,
        "Properties": fields,
        "time": None if found is None else TIMES[found[1]] * float(found[2]),
        "wrapped": re.search(r"(?:^|\s)wrapped=\"?(?:F|f)", comment) is None,
    }


def _all(values: list[Any]) -> npt.NDArray[np.float64] | None:
    """An array, where every frame has one."""
    return None if any(value is None for value in values) else np.array(values, dtype=float)
