"""XDATCAR of VASP: fractional coordinates, one cell or one for every frame."""

from pathlib import Path

import numpy as np

from rhotem.battery.trajectories.asked import Asked, truncated
from rhotem.battery.trajectories.model import Trajectory
from rhotem.core import InputError
from rhotem.structure.read.contents import Floats, Text
from rhotem.structure.read.elements import of_symbol


def read_xdatcar(path: Path, asked: Asked) -> Trajectory:
    """Frames of an XDATCAR; it does not say how far apart in time they are (NBLOCK × POTIM).

    Raises
    ------
    InputError
        Damaged rows, unknown elements, frames of other atoms.
    """
    text = Text(path)
    numbers, cell = _head(text)
    frames: list[Floats] = []
    cells: list[Floats] = []
    notes: list[str] = []
    while text.more:
        line = text.peek().strip()
        if not line:
            text.need("")
            continue
        if not line.lower().startswith("direct configuration"):
            again, cell = _head(text)  # a cell of its own for every frame
            if len(again) != len(numbers) or (again != numbers).any():
                raise InputError(f"{path}: frame {len(frames) + 1} has other atoms than the first")
            if not text.more:
                notes.append(truncated(path, len(frames), "before the atoms"))
                break
            continue
        text.need("a frame")
        if text.number + len(numbers) > len(text.lines):
            notes.append(truncated(path, len(frames), "within the atoms"))
            break
        if text.number + len(numbers) == len(text.lines) and not text.all.endswith("\n"):
            notes.append(truncated(path, len(frames), "within a row"))  # a number cut short reads as another one
            break
        frames.append(np.array([text.floats("three fractional coordinates", 3) for _ in range(len(numbers))]))
        cells.append(cell)
    if not frames:
        raise InputError(f"{path}: no whole frame in it")
    places = np.array(frames)
    held = np.array(cells)
    times = asked.times(None, len(frames))
    return Trajectory(
        numbers, held, np.einsum("fnk,fkj->fnj", places, held), times, None, True, path.name, tuple(notes)
    )


def _head(text: Text) -> tuple[np.ndarray, Floats]:
    """Elements and cell."""
    from ase.data import atomic_numbers

    text.need("a title")
    scale = text.floats("the scale of the cell", 1)[0]
    if not scale > 0:
        raise text.fail("a positive scale of the cell")
    cell = scale * np.array([text.floats("a lattice vector", 3) for _ in range(3)])
    readings = [of_symbol(word) for word in text.need("the elements").split()]
    if not readings or any(reading is None for reading in readings):
        raise text.fail("the elements of the atoms")
    counts = text.ints("the numbers of atoms", len(readings))
    symbols = [reading.symbol for reading in readings if reading is not None]
    return np.repeat([atomic_numbers[symbol] for symbol in symbols], counts).astype(np.int64), cell
