"""PDB files by gemmi: CRYST1's space group applied, alternatives as partial occupancies."""

import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.cell import cell_of
from rhotem.structure.read.cif.atoms import Row
from rhotem.structure.read.cif.expand import expanded
from rhotem.structure.read.cif.operations import check_cell, identity, of_group
from rhotem.structure.read.contents import Contents, Text
from rhotem.structure.read.elements import of_symbol


def read_pdb(text: Text) -> Contents:
    """Structure of a PDB file, its first model.

    Raises
    ------
    InputError
        Atoms without an element, a cell that has not the symmetry stated.
    """
    import gemmi

    name = text.path.name
    try:
        model = gemmi.read_pdb_string(text.all)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{text.path}: it cannot be read as PDB ({' '.join(str(error).split())[:120]})") from error
    atoms = [atom for chain in model[0] for residue in chain for atom in residue] if len(model) else []
    if not atoms:
        raise InputError(f"{text.path}: it lists no atoms (ATOM or HETATM)")
    notes = [f"{name}: the first of {len(model)} models is read"] if len(model) > 1 else []
    unknown = next((atom.name for atom in atoms if of_symbol(atom.element.name) is None), None)
    if unknown is not None:
        raise InputError(f"{text.path}: atom {unknown} has no element (columns 77 and 78)")
    readings = [of_symbol(atom.element.name) for atom in atoms]
    places = np.array([atom.pos.tolist() for atom in atoms])
    per_u = 8 * np.pi**2
    shares = np.array([atom.occ for atom in atoms])
    isotropic = np.array([atom.b_iso / per_u if atom.b_iso > 0 else np.nan for atom in atoms])
    symbols = tuple(reading.symbol for reading in readings if reading is not None)
    labels = tuple(atom.name for atom in atoms)
    unit = model.cell
    if not unit.is_crystal() or unit.volume < 2.0:
        tensors = isotropic[:, None, None] * np.eye(3)
        known = tensors if np.isfinite(isotropic).any() else None
        return Contents(np.zeros((3, 3)), places, symbols, shares, labels, known, notes=tuple(notes))
    cell = cell_of(unit.parameters, name)
    found = gemmi.find_spacegroup_by_name(model.spacegroup_hm, unit.alpha, unit.gamma) if model.spacegroup_hm else None
    if model.spacegroup_hm and found is None:
        raise InputError(f"{text.path}: {model.spacegroup_hm!r} is no space group known; convert the file to P 1")
    group = of_group(found.operations(), f"space group {found.xhm()}") if found is not None else identity()
    check_cell(group, cell, name)
    rows = []
    for n, atom in enumerate(atoms):
        place = np.array(unit.fractionalize(atom.pos).tolist())
        rows.append(Row(labels[n], symbols[n], "", place, np.full(3, 0.001) / cell.max(), float(shares[n])))
        rows[-1].isotropic = float(isotropic[n])
    contents = expanded(rows, group, cell, name, True)
    return Contents(
        cell,
        contents.positions,
        contents.symbols,
        contents.occupancies,
        contents.labels,
        contents.displacements,
        notes=(*notes, *contents.notes),
    )
