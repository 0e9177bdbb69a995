"""Gaussian cube files: lengths in Bohr, density in e/Bohr³, last index fastest.

The voxel vectors times the numbers of points are the cell (endpoint excluded), as all periodic codes write it. Some
programs repeat the first plane at the end instead: ``endpoint=True`` says so, and it is noticed by itself when the
repeated planes are equal and the cell asked for is the smaller one.
"""

from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import BOHR
from rhotem.density.field import DensityField
from rhotem.density.files.format import Format
from rhotem.density.files.raw import RawDensity, TextReader, check_atoms, shifted
from rhotem.density.files.vasp import write_numbers
from rhotem.structure.model import Structure


def read_cube(path: Path, endpoint: bool | None = None, cell: npt.NDArray | None = None) -> RawDensity:
    """Read a cube file.

    Parameters
    ----------
    endpoint : bool, optional
        True: the last plane of each axis repeats the first. None: decided from ``cell``, else False.
    cell : (3, 3) array, optional
        The cell the file should have, in Å.

    Raises
    ------
    InputError
        Orbital cubes (negative atom count), several values per point, truncated or damaged data.
    """
    with TextReader(path) as text:
        title = (text.need("the title").strip() + " " + text.need("the second title line").strip()).strip()
        head = text.need("number of atoms and origin").split()
        try:
            natoms, origin = int(head[0]), np.array([float(x) for x in head[1:4]])
            per_point = int(head[4]) if len(head) > 4 else 1
        except (ValueError, IndexError):
            raise InputError(f"{path}: line 3 is {' '.join(head)!r}, expected number of atoms and origin") from None
        if natoms < 0 or per_point != 1:
            raise InputError(f"{path}: holds orbitals or several values per point; give a cube of the density alone")
        axes = np.array([text.floats(f"grid axis {i}", 4) for i in (1, 2, 3)])
        atoms = np.array([text.floats(f"atom {i + 1}", 5) for i in range(natoms)]).reshape(-1, 5)
        counts = np.rint(axes[:, 0]).astype(int)
        if (counts == 0).any():
            raise InputError(f"{path}: grid numbers {counts.tolist()} in lines 4 to 6 contain a zero")
        # Negative counts mean ångström (Gaussian's documentation of cubegen).
        unit = np.where(counts < 0, 1.0, BOHR)
        shape = np.abs(counts)
        values = text.block(int(shape.prod()), "the grid").reshape(shape)
        text.done("the grid")
    steps = axes[:, 1:] * unit[:, None]
    length_unit = float(unit[0])
    if endpoint is None:
        endpoint = _repeats(values, shape, steps, cell)
    if endpoint:
        values, shape = drop_endpoint(path, values), shape - 1
    grid = PeriodicGrid(steps * shape[:, None], (shape[0], shape[1], shape[2]))
    structure = Structure(
        check_atoms(path, np.rint(atoms[:, 0]).astype(int), atoms[:, 2:5] * length_unit, grid.cell.copy())
    )
    values = shifted(grid, values / BOHR**3, origin * length_unit)
    known = {"title": title, "endpoint_dropped": bool(endpoint), "origin": (origin * length_unit).tolist()}
    return RawDensity(structure, grid, values, None, "unknown", "cube", path, known=known)


def _repeats(values: npt.NDArray, shape: npt.NDArray, steps: npt.NDArray, cell: npt.NDArray | None) -> bool:
    """True if n − 1 steps span ``cell`` and n steps do not."""
    if cell is None or (shape < 2).any():
        return False
    lengths = np.linalg.norm(cell, axis=1)
    spans = np.linalg.norm(steps, axis=1)
    excluded = np.abs(spans * shape - lengths).max()
    included = np.abs(spans * (shape - 1) - lengths).max()
    return bool(included < 1e-3 * lengths.max() and included < excluded)


def drop_endpoint(path: Path, values: npt.NDArray) -> npt.NDArray:
    """Values without the last plane of each axis.

    Raises
    ------
    InputError
        If the last planes do not repeat the first ones: then the grid is not of this convention.
    """
    scale = float(np.abs(values).max()) or 1.0
    for axis in range(3):
        if values.shape[axis] < 2:
            raise InputError(f"{path}: one plane along axis {axis + 1} cannot include its own endpoint")
        first, last = values.take(0, axis), values.take(-1, axis)
        if np.abs(first - last).max() > 1e-3 * scale:
            raise InputError(
                f"{path}: the last plane along axis {axis + 1} does not repeat the first, so the endpoint is not "
                "included as expected; if the grid leaves it out, read it with endpoint=False"
            )
    return values[:-1, :-1, :-1]


def write_cube(field: DensityField, stream: TextIO) -> None:
    """Write ``field.values`` as a cube (Bohr, e/Bohr³, endpoint excluded) to an open text stream."""
    write = stream.write
    write(f"{field.source or 'density'}\n{field.kind} density, e/Bohr^3, periodic, endpoint excluded\n")
    write(f"{len(field.structure):5d}" + " %.6f" * 3 % (0, 0, 0) + "\n")
    for n, row in zip(field.grid.shape, field.grid.cell, strict=True):
        write(f"{n:5d}" + " %.10f" * 3 % tuple(row / n / BOHR) + "\n")
    for z, position in zip(field.structure.numbers, field.structure.positions, strict=True):
        write(f"{z:5d} {z:.6f}" + " %.10f" * 3 % tuple(position / BOHR) + "\n")
    values = np.asarray(field.values, dtype=float) * BOHR**3
    for row in values.reshape(-1, field.grid.shape[2]):
        write_numbers(stream, row, 6, " %.7E")


def _units(raw: RawDensity) -> tuple[tuple[float, ...], ...]:
    """MALA writes e/Å³ into cubes, which hold e/Bohr³ by definition."""
    return ((1.0,), (BOHR**3,))


FORMAT = Format(
    "cube",
    lambda path, structure, endpoint: read_cube(path, endpoint, None if structure is None else structure.cell),
    write_cube,
    units=_units,
)
