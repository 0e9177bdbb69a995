"""Oriented structures for programs that build their own potential: QSTEM (.cfg) and TEMSIM / computem (.xyz).

Both keep the imaging cell's axes: orthogonal, beam along z. Free atoms only: they do not carry a deformation density.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase.data import atomic_masses, chemical_symbols

from rhotem.core import InputError, is_rectangular
from rhotem.structure.model import Structure


def write_qstem(structure: Structure, path: str | Path, msd: npt.ArrayLike = 0.0) -> None:
    """Write a QSTEM .cfg file.

    Layout of qstem.org, "data formats": AtomEye header, ``entry_count = 6``, and per atom fractional x y z,
    Debye–Waller factor B = 8π²⟨u²⟩ in Å², occupancy, charge; mass and symbol open each run of one element.

    Parameters
    ----------
    structure : Structure
        In its imaging cell.
    path : path
    msd : float or (N,) array
        ⟨u²⟩ along one axis in Å².
    """
    u2 = _per_atom(structure, msd)
    lines = [f"Number of particles = {len(structure)}", "A = 1.0 Angstrom"]
    lines += [f"H0({i + 1},{j + 1}) = {structure.cell[i, j]:.8f} A" for i in range(3) for j in range(3)]
    lines += [".NO_VELOCITY.", "entry_count = 6"]
    fractional = structure.atoms.get_scaled_positions(wrap=True)
    previous = 0
    for index in np.argsort(structure.numbers, kind="stable"):
        z = int(structure.numbers[index])
        if z != previous:
            lines += [f"{atomic_masses[z]:.4f}", chemical_symbols[z]]
            previous = z
        x = fractional[index]
        lines.append(f"{x[0]:.8f} {x[1]:.8f} {x[2]:.8f} {8 * np.pi**2 * u2[index]:.6f} 1.0 0.0")
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")


def write_temsim(structure: Structure, path: str | Path, msd: npt.ArrayLike = 0.0) -> None:
    """Write a TEMSIM / computem .xyz file, which Prismatic reads too.

    E. J. Kirkland's format: a comment, the cell ``ax by cz`` in Å, one line ``Z x y z occupancy wobble`` per atom and a
    closing −1; ``wobble`` is written as the rms displacement √⟨u²⟩ along one axis in Å, as Prismatic documents it.

    Parameters
    ----------
    structure : Structure
        In its imaging cell, which must be orthogonal along x, y, z.
    path : path
    msd : float or (N,) array
        ⟨u²⟩ along one axis in Å².
    """
    if not is_rectangular(structure.cell):
        raise InputError("TEMSIM file: the cell is not orthogonal along x, y, z; orient the crystal first")
    u2 = _per_atom(structure, msd)
    sides = np.diag(structure.cell)
    positions = structure.atoms.get_scaled_positions(wrap=True) * sides
    lines = [f"{structure.atoms.get_chemical_formula()} written by RhoTEM", " ".join(f"{a:14.8f}" for a in sides)]
    lines += [
        f"{z:3d} {r[0]:14.8f} {r[1]:14.8f} {r[2]:14.8f} 1.0 {np.sqrt(u):10.6f}"
        for z, r, u in zip(structure.numbers, positions, u2, strict=True)
    ]
    Path(path).write_text("\n".join(lines) + "\n-1\n", encoding="ascii")


def _per_atom(structure: Structure, msd: npt.ArrayLike) -> npt.NDArray[np.float64]:
    values = np.asarray(msd, dtype=float)
    if values.ndim == 0:
        values = np.full(len(structure), float(values))
    if values.shape != (len(structure),) or (values < 0).any():
        raise InputError(f"⟨u²⟩: shape {values.shape}, expected one non-negative number or {len(structure)} of them")
    return values
