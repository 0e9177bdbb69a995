"""XCrySDen structure files with a 3D data grid: lengths in Å, first index fastest, endpoint *included*.

XCrySDen's "general grid": the spanning vectors reach from the first to the last point, so a periodic grid repeats its
first plane. RhoTEM drops that plane on reading and adds it on writing. Grids whose vectors end one step short of the
cell, which some programs write, are taken as they are. The unit of the values is not fixed by the
format: e/Bohr³ (Quantum ESPRESSO) and e/Å³ both occur; RhoTEM writes e/Å³ and says so in the file.
"""

from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import BOHR
from rhotem.density.field import DensityField
from rhotem.density.files.cube import drop_endpoint
from rhotem.density.files.format import Format
from rhotem.density.files.raw import RawDensity, TextReader, check_atoms, shifted, symbol_number
from rhotem.density.files.vasp import write_numbers
from rhotem.structure.model import Structure

UNIT_NOTE = "# density in e/Angstrom^3"


def read_xsf(path: Path, endpoint: bool | None = None) -> RawDensity:
    """Read cell, atoms and the first 3D data grid of an xsf file; values are left in the file's unit.

    Parameters
    ----------
    endpoint : bool, optional
        False: the last plane does not repeat the first (not the format's rule, but some programs write that).

    Raises
    ------
    InputError
        No data grid, no cell, damaged data, last plane that is not the first one again.
    """
    cell: npt.NDArray | None = None
    atoms: list[tuple[int, npt.NDArray]] = []
    unit = ""
    with TextReader(path) as text:
        while (line := text.line()) is not None:
            word = (line.split() or [""])[0].upper()
            if line.strip() == UNIT_NOTE:
                unit = "e/A^3"
            elif word == "PRIMVEC":
                cell = np.array([text.floats(f"lattice vector {i}", 3) for i in (1, 2, 3)])
            elif word == "PRIMCOORD":
                count = text.ints("the number of atoms", 1)[0]
                atoms = [_atom(text) for _ in range(count)]
            elif word == "ATOMS":
                raise InputError(f"{path}: molecule without a periodic cell (ATOMS); expected CRYSTAL with PRIMVEC")
            elif word.startswith("BEGIN_DATAGRID_3D") or word.startswith("DATAGRID_3D"):
                shape = np.array(text.ints("three grid numbers", 3))
                origin = text.floats("the grid's origin", 3)
                span = np.array([text.floats(f"spanning vector {i}", 3) for i in (1, 2, 3)])
                values = text.block(int(shape.prod()), "the data grid").reshape(shape[::-1]).transpose(2, 1, 0)
                text.done("the data grid")
                more = _grids_behind(text)
                break
        else:
            raise InputError(f"{path}: no DATAGRID_3D block in this xsf file")
    if cell is None or not atoms:
        raise InputError(f"{path}: the data grid comes without PRIMVEC and PRIMCOORD before it")
    scale = np.abs(cell).max()
    if np.allclose(span, cell * ((shape - 1) / shape)[:, None], atol=1e-4 * scale) and endpoint is None:
        endpoint = False  # from the first to the last point, and one step short of the cell: nothing is repeated
    elif not np.allclose(span, cell, atol=1e-3 * scale):
        raise InputError(f"{path}: the data grid does not span the cell; write the density on the whole primitive cell")
    if endpoint is not False:
        values = drop_endpoint(path, values)
    n1, n2, n3 = (int(n) for n in values.shape)
    grid = PeriodicGrid(cell, (n1, n2, n3))
    structure = Structure(
        check_atoms(path, np.array([z for z, _ in atoms]), np.array([p for _, p in atoms]), grid.cell.copy())
    )
    values = shifted(grid, np.ascontiguousarray(values), origin)
    notes = [f"{path.name}: the first of {1 + more} data grids is read"] if more else []
    known = {"endpoint_dropped": endpoint is not False, "unit": unit, "notes": notes}
    return RawDensity(structure, grid, values, None, "unknown", "xsf", path, known=known)


def _grids_behind(text: TextReader) -> int:
    """How many more grids the rest of a file holds."""
    count = 0
    while (line := text.line()) is not None:
        count += line.strip().upper().startswith(("BEGIN_DATAGRID_3D", "DATAGRID_3D"))
    return count


def _atom(text: TextReader) -> tuple[int, npt.NDArray]:
    words = text.need("an atom").split()
    try:
        number = int(words[0]) if words[0].isdigit() else symbol_number(text.path, words[0])
        return number, np.array([float(x) for x in words[1:4]]).reshape(3)
    except (ValueError, IndexError):
        raise InputError(f"{text.path}: line {text.number} is {' '.join(words)!r}, expected an atom") from None


def write_xsf(field: DensityField, stream: TextIO) -> None:
    """Write ``field.values`` as an xsf general grid (e/Å³, endpoint included) to an open text stream."""
    write = stream.write
    vectors = "".join(" %.10f" * 3 % tuple(row) + "\n" for row in field.grid.cell)
    write(f"# {field.source or 'density'} ({field.kind})\n{UNIT_NOTE}\nCRYSTAL\nPRIMVEC\n{vectors}")
    write(f"PRIMCOORD\n{len(field.structure)} 1\n")
    for z, position in zip(field.structure.numbers, field.structure.positions, strict=True):
        write(f"{z:4d}" + " %.10f" * 3 % tuple(position) + "\n")
    shape = tuple(n + 1 for n in field.grid.shape)
    write("BEGIN_BLOCK_DATAGRID_3D\ndensity\nBEGIN_DATAGRID_3D_density\n")
    write(" ".join(map(str, shape)) + "\n 0.0 0.0 0.0\n" + vectors)
    values = np.pad(np.asarray(field.values, dtype=float), [(0, 1)] * 3, mode="wrap")
    write_numbers(stream, values.ravel(order="F"), 6, " %.8E")
    write("END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n")


def _units(raw: RawDensity) -> tuple[tuple[float, ...], ...]:
    """The format fixes no unit: e/Bohr³ is as likely as e/Å³ where the file does not say."""
    return ((1.0,),) if raw.known.get("unit") else ((1.0, BOHR**-3),)


FORMAT = Format("xsf", lambda path, structure, endpoint: read_xsf(path, endpoint), write_xsf, units=_units)
