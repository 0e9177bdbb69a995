"""VASP's volumetric files: CHG, CHGCAR, AECCAR0/1/2, PARCHG and LOCPOT.

Layout: POSCAR header, blank line, three grid numbers, values with the first index fastest (a density times the cell
volume; LOCPOT in eV), PAW augmentation occupancies, and with spin the same again for n↑ − n↓, or for the three
components of a non-collinear magnetisation.
"""

from pathlib import Path
from typing import TextIO

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.files.format import Format
from rhotem.density.files.raw import Content, RawDensity, TextReader, check_atoms, symbol_number
from rhotem.structure.model import Structure
from rhotem.structure.read.contents import Contents
from rhotem.structure.read.poscar import read_header

#: Content by file name; the first that occurs in the name decides.
CONTENT: tuple[tuple[str, Content], ...] = (
    ("AECCAR0", "core"),
    ("AECCAR1", "free-valence"),
    ("AECCAR2", "valence"),
    ("LOCPOT", "potential"),
    ("PARCHG", "partial"),
    ("CHG", "pseudo-valence"),
)

#: Said in the title of every CHGCAR that RhoTEM writes.
WARNING = "no PAW occupancies: VASP will not restart from this file"


def content_of(name: str) -> Content | None:
    """What a file called ``name`` holds by VASP's naming, None for other names."""
    for key, content in CONTENT:
        if key in name.upper():
            return content
    return None


def read_vasp(path: Path) -> RawDensity:
    """Read a volumetric file of VASP, spin included; a non-collinear magnetisation is passed over and remarked.

    Raises
    ------
    InputError
        Header without element symbols, damaged or truncated grid.
    """
    content = content_of(path.name) or "pseudo-valence"
    with TextReader(path) as text:
        title = text.peek().strip()
        contents = read_header(text)
        structure = Structure(_atoms(path, contents))
        grid, values = _read_grid(text, structure)
        occupancies, more = _skip_to_grid(text, grid, len(structure))
        blocks = [values]
        while more:
            blocks.append(_read_values(text, grid))
            _, more = _skip_to_grid(text, grid, len(structure))
    if len(blocks) not in (1, 2, 4):
        raise InputError(f"{path}: {len(blocks)} grids, expected 1, 2 (spin) or 4 (non-collinear); the file is damaged")
    scale = 1.0 if content == "potential" else 1.0 / grid.volume
    spin = blocks[1] * scale if len(blocks) == 2 and content != "potential" else None
    notes = list(contents.notes)
    if len(blocks) == 4:
        notes.append(f"{path.name}: its magnetisation is not collinear; the density is read, no spin density")
    known = {"title": title, "augmentation_occupancies": occupancies, "notes": notes}
    # LOCPOT's second grid is the other spin channel's potential; it has no meaning as a spin density.
    return RawDensity(structure, grid, values * scale, spin, content, "VASP", path, known=known)


def _atoms(path: Path, contents: Contents) -> ase.Atoms:
    numbers = np.array([symbol_number(path, symbol) for symbol in contents.symbols])
    return check_atoms(path, numbers, contents.positions, contents.cell)


def _read_grid(text: TextReader, structure: Structure) -> tuple[PeriodicGrid, npt.NDArray]:
    line = text.need("the grid numbers")
    while not line.strip():
        line = text.need("the grid numbers")
    words = line.split()
    if len(words) != 3 or not all(w.isdigit() and int(w) > 0 for w in words):
        raise InputError(f"{text.path}: line {text.number} is {line.strip()!r}, expected three grid numbers")
    shape = (int(words[0]), int(words[1]), int(words[2]))
    grid = PeriodicGrid(structure.cell, shape)
    return grid, _read_values(text, grid)


def _read_values(text: TextReader, grid: PeriodicGrid) -> npt.NDArray:
    values = text.block(grid.size, f"the {'x'.join(map(str, grid.shape))} grid")
    return np.ascontiguousarray(values.reshape(grid.shape[::-1]).transpose(2, 1, 0))


def _skip_to_grid(text: TextReader, grid: PeriodicGrid, atoms: int) -> tuple[list[int], bool]:
    """Pass over augmentation occupancies; their number per atom, and whether another grid follows.

    Numbers directly behind a grid can only be the atoms' moments, and another grid follows them.
    """
    counts: list[int] = []
    shape = list(map(str, grid.shape))
    loose, at_once, follows = 0, True, False
    while not follows and (line := text.line()) is not None:
        words = line.split()
        follows = words == shape
        if words[:1] == ["augmentation"] and words[-1].isdigit():
            counts.append(int(words[-1]))
        if at_once and not follows and words:
            found = text.numbers(line)
            loose, at_once = loose + found, found > 0
    if loose and not (follows and loose in (atoms, 3 * atoms)):
        raise InputError(
            f"{text.path}: {loose} numbers behind the {'x'.join(shape)} grid belong to nothing; "
            "its grid numbers are wrong"
        )
    return counts, follows


def write_chgcar(field: DensityField, stream: TextIO) -> None:
    """Write ``field.values`` (and the spin density, if any) in CHGCAR layout to an open text stream.

    The title says that the file has no PAW occupancies, which VASP asks for when it restarts (ICHARG = 1 or 11).
    """
    from ase.data import chemical_symbols

    write = stream.write
    structure, grid = field.structure, field.grid
    order = np.argsort(structure.numbers, kind="stable")
    write(f"{field.source or 'density'} ({field.kind}); {WARNING}\n   1.0\n")
    for row in grid.cell:
        write(" ".join(f"{x:20.14f}" for x in row) + "\n")
    numbers, counts = np.unique(structure.numbers, return_counts=True)
    write(" ".join(f"{chemical_symbols[z]:>5}" for z in numbers) + "\n")
    write(" ".join(f"{n:5d}" for n in counts) + "\nDirect\n")
    for fraction in structure.atoms.get_scaled_positions(wrap=False)[order]:
        write(" ".join(f"{x:17.12f}" for x in fraction) + "\n")
    for values in (field.values, field.spin):
        if values is None:
            continue
        write("\n" + " ".join(f"{n:5d}" for n in grid.shape) + "\n")
        write_numbers(stream, (np.asarray(values, dtype=float) * grid.volume).ravel(order="F"), 5, " %.11E")


def write_numbers(stream: TextIO, values: npt.NDArray, per_line: int, form: str) -> None:
    """Numbers, ``per_line`` on each line, in ``form`` of the % operator."""
    write = stream.write
    line = form * per_line + "\n"
    step = per_line * 4096
    for start in range(0, len(values), step):
        part = values[start : start + step]
        whole, rest = divmod(len(part), per_line)
        write(line * whole % tuple(part[: whole * per_line]))
        if rest:
            write(form * rest % tuple(part[whole * per_line :]) + "\n")


FORMAT = Format(
    "VASP",
    lambda path, structure, endpoint: read_vasp(path),
    write_chgcar,
    called=lambda name: content_of(name) is not None,
)
