"""Na3V2(PO4)3 in its orthohexagonal cell with the hexagonal a along the beam: 240 atoms to move and to film.

.venv/bin/python scripts/make_nasicon_cell.py nasicon.extxyz
"""

import sys

import numpy as np
from ase.build import make_supercell
from ase.io import write

from rhotem.structure.phases import phase


def orthohexagonal():  # type: ignore[no-untyped-def]
    """Sides 2a + b, c and a of the hexagonal cell along x, y and z."""
    crystal = phase("NVP").atoms
    along, across, third = crystal.cell.array[1], 2 * crystal.cell.array[0] + crystal.cell.array[1], None
    for n, m in np.ndindex(7, 7):
        sides = 3 * crystal.cell.array[2] + (n - 3) * crystal.cell.array[0] + (m - 3) * crystal.cell.array[1]
        if abs(sides @ along) + abs(sides @ across) < 1e-3:
            third = [n - 3, m - 3, 3]
    made = make_supercell(crystal, [[0, 1, 0], [2, 1, 0], third])
    cell = made.cell.array[[1, 2, 0]]
    if np.linalg.det(cell) < 0:
        cell[1] *= -1
    made.set_cell(cell)
    made.set_cell(np.diag(np.linalg.norm(cell, axis=1)), scale_atoms=True)
    made.wrap()
    made.info = {}
    return made


if __name__ == "__main__":
    write(sys.argv[1], orthohexagonal())
