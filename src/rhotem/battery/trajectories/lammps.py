"""LAMMPS text dumps: frames sorted by the atoms' numbers, elements from the file or asked for."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.battery.trajectories.asked import Asked, same_atoms, truncated
from rhotem.battery.trajectories.model import Trajectory
from rhotem.core import InputError
from rhotem.structure.read.contents import Floats, Text
from rhotem.structure.read.elements import of_symbol
from rhotem.structure.read.lammps import dump_box

#: Columns of coordinates by preference: unwrapped first; and whether they are fractions of the box, and wrapped.
COORDINATES = (("xu", False, False), ("xsu", True, False), ("x", False, True), ("xs", True, True))


def read_lammps(path: Path, asked: Asked) -> Trajectory:
    """Frames of a dump; the time is the number of the step times ``--timestep-fs``.

    ``xu yu zu`` are taken where they are, else ``x y z`` with ``ix iy iz`` where they are. Velocities are not read:
    a dump does not say its units.

    Raises
    ------
    InputError
        No elements and none asked for, no coordinates, atoms lost, damaged rows.
    """
    text = Text(path)
    frames: list[_Frame] = []
    notes: list[str] = []
    starts = [n for n, line in enumerate(text.lines) if line.startswith("ITEM: TIMESTEP")]
    if not starts:
        raise InputError(f"{path}: it has no frame (ITEM: TIMESTEP)")
    for place, start in enumerate(starts):
        text.number = start
        if place == len(starts) - 1 and not _whole(text):
            notes.append(truncated(path, len(frames), "within the data"))
            break
        text.number = start
        frame = _Frame(text, asked)
        if frames:
            same_atoms(path, place + 1, frames[0].numbers, frame.numbers)
            if (frames[0].order != frame.order).any():
                raise InputError(f"{path}: frame {place + 1} has atoms of other numbers (id) than the first")
        frames.append(frame)
    steps = np.array([frame.step for frame in frames], dtype=float)
    times = None if asked.timestep is None else asked.timestep * steps
    return Trajectory(
        frames[0].numbers,
        np.array([frame.cell for frame in frames]),
        np.array([frame.positions for frame in frames]),
        times,
        None,
        frames[0].wrapped,
        path.name,
        tuple(notes),
    )


def _whole(text: Text) -> bool:
    """Whether the rest of the file is as long as the frame that begins there says."""
    rest = text.lines[text.number :]
    counted = next((n for n, line in enumerate(rest) if line.startswith("ITEM: NUMBER OF ATOMS")), len(rest))
    begins = next((n for n, line in enumerate(rest) if line.startswith("ITEM: ATOMS")), len(rest))
    if max(counted + 1, begins) >= len(rest) or not rest[counted + 1].strip().isdigit():
        return False
    return len(rest) - begins - 1 >= int(rest[counted + 1]) and text.all.endswith("\n")


class _Frame:
    """One frame of a dump."""

    def __init__(self, text: Text, asked: Asked) -> None:
        text.need("ITEM: TIMESTEP")
        self.step = text.ints("the number of the step", 1)[0]
        count, box = -1, None
        for line in text:
            if line.startswith("ITEM: NUMBER OF ATOMS"):
                count = text.ints("the number of atoms", 1)[0]
            elif line.startswith("ITEM: BOX BOUNDS"):
                box = dump_box(text, line.split()[3:])
            elif line.startswith("ITEM: ATOMS"):
                break
            elif line.startswith("ITEM: TIMESTEP"):
                raise text.fail("the atoms of the frame")
        else:
            raise InputError(f"{text.path}: a frame has no atoms; the file is truncated")
        if count < 1 or box is None:
            raise InputError(f"{text.path}: step {self.step} has no number of atoms or no box")
        columns = line.split()[2:]
        rows = [text.need(f"atom {n + 1} of {count}").split() for n in range(count)]
        if any(len(row) != len(columns) for row in rows):
            wrong = next(n for n, row in enumerate(rows) if len(row) != len(columns))
            text.number -= count - wrong - 1
            raise text.fail(f"an atom with {len(columns)} columns")
        table = dict(zip(columns, np.array(rows).T, strict=True))
        self.order = self._sorted(table, text)
        self.numbers = _elements(table, asked, text)
        self.cell, self.positions, self.wrapped = _places(table, box, text)

    @staticmethod
    def _sorted(table: dict[str, npt.NDArray], text: Text) -> npt.NDArray[np.int64]:
        """Put the rows in the order of the atoms' numbers, which are returned."""
        if "id" not in table:
            raise InputError(f"{text.path}: its atoms have no id, and LAMMPS writes them in any order; dump id as well")
        order = np.argsort(table["id"].astype(np.int64), kind="stable")
        for name in table:
            table[name] = table[name][order]
        return table["id"].astype(np.int64)


def _elements(table: dict[str, npt.NDArray], asked: Asked, text: Text) -> npt.NDArray[np.int64]:
    from ase.data import atomic_numbers

    column = next((name for name in ("element", "type") if name in table and (name == "element" or asked.elements)), "")
    if not column:
        types = ", ".join(sorted(set(table.get("type", np.array([])).tolist())))
        raise InputError(
            f"{text.path}: types {types} have no element names; give --elements 1=Li,..., or write "
            "them with dump_modify"
        )
    kinds, places = np.unique(table[column], return_inverse=True)
    numbers = []
    for kind in kinds.tolist():
        reading = of_symbol(asked.elements.get(kind, "" if column == "type" else kind))
        if reading is None:
            raise InputError(f"{text.path}: {column} {kind} has no element; give it with --elements {kind}=...")
        numbers.append(atomic_numbers[reading.symbol])
    return np.array(numbers, dtype=np.int64)[places]


def _places(table: dict[str, npt.NDArray], box: tuple[Floats, Floats], text: Text) -> tuple[Floats, Floats, bool]:
    """Cell, positions from the box's corner, and whether they are wrapped."""
    cell, origin = box
    kinds = [(scaled, wrapped, [f"{axis}{name[1:]}" for axis in "xyz"]) for name, scaled, wrapped in COORDINATES]
    there = next((kind for kind in kinds if all(column in table for column in kind[2])), None)
    if there is None:
        raise InputError(f"{text.path}: its atoms have no columns x y z, xs ys zs, or xu yu zu")
    scaled, wrapped, named = there
    try:
        values = np.array([table[column].astype(float) for column in named]).T
    except ValueError:
        raise InputError(f"{text.path}: a coordinate is no number; the file is truncated or damaged") from None
    positions = values @ cell if scaled else values - origin
    if wrapped and all(f"i{axis}" in table for axis in "xyz"):
        images = np.array([table[f"i{axis}"].astype(float) for axis in "xyz"]).T
        positions, wrapped = positions + images @ cell, False
    return cell, positions, wrapped
