"""Whether a structure can be calculated at all, and what looks odd about it."""

import numpy as np

from rhotem.core import InputError
from rhotem.structure.model import Structure

#: Heaviest element of the free-atom tables.
HEAVIEST = 96
#: Atoms closer than this (Å), or than this fraction of the sum of covalent radii, overlap and are refused.
OVERLAP, OVERLAP_RATIO = 0.5, 0.5
#: Atoms closer than this fraction of the sum of covalent radii are worth a remark.
CLOSE = 0.6
#: Key of ``Structure.info``: whoever read the structure allowed overlaps.
ALLOWED = "overlaps_allowed"


def check(structure: Structure) -> tuple[str, ...]:
    """Raise for a structure that cannot be calculated; return remarks about one that can.

    Raises
    ------
    InputError
        No atoms, no three-dimensional cell, positions that are no numbers, elements outside H–Cm; overlapping atoms
        unless ``info["overlaps_allowed"]`` is true: then they are remarked.
    """
    atoms, name = structure.atoms, structure.info.get("name", structure.atoms.get_chemical_formula())
    if len(atoms) == 0:
        raise InputError(f"{name or 'structure'}: it has no atoms")
    if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
        raise InputError(f"{name}: a position or cell vector is not a finite number")
    if atoms.cell.rank < 3 or atoms.cell.volume < 1e-3:
        raise InputError(f"{name}: it has no three-dimensional cell; give one, or vacuum= (--vacuum) around a molecule")
    odd = sorted({atom.symbol for atom in atoms if not 1 <= atom.number <= HEAVIEST})
    if odd:
        raise InputError(f"{name}: element {', '.join(odd)} is not among H to Cm (Z = 1 to {HEAVIEST})")
    if not np.isfinite(structure.charge):
        raise InputError(f"{name}: charge {structure.charge} is not a finite number")
    if structure.moments is not None and np.shape(structure.moments) != (len(atoms),):
        raise InputError(f"{name}: {np.size(structure.moments)} magnetic moments for {len(atoms)} atoms")
    said, overlap = close_atoms(structure)
    if overlap and not structure.info.get(ALLOWED):
        raise InputError(
            f"{name}: {said}; they overlap, correct or remove one of them (--allow-overlaps goes on as it is)"
        )
    return (f"{name}: {said}{'; allowed on request' if overlap else ''}",) if said else ()


def close_atoms(structure: Structure) -> tuple[str, bool]:
    """The pair of atoms that is nearest for its size, in words, and whether it overlaps; empty if none is near."""
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    atoms = structure.atoms.copy()
    atoms.set_pbc(True)
    atoms.wrap()
    radii = covalent_radii[atoms.numbers]
    i, j, d = neighbor_list("ijd", atoms, cutoff=float(max(OVERLAP, CLOSE * 2 * radii.max())))
    if len(d) == 0:
        return "", False
    symbols = structure.atoms.get_chemical_symbols()
    ratio = d / (radii[i] + radii[j])
    worst = int(np.argmin(d) if d.min() < OVERLAP else np.argmin(ratio))
    if d[worst] >= OVERLAP and ratio[worst] >= CLOSE:
        return "", False
    return (
        f"{symbols[i[worst]]} (atom {i[worst] + 1}) and {symbols[j[worst]]} (atom {j[worst] + 1}) are only"
        f" {d[worst]:.2f} Å apart, {100 * ratio[worst]:.0f} % of the sum of their covalent radii",
        bool(d[worst] < OVERLAP or ratio[worst] < OVERLAP_RATIO),
    )
