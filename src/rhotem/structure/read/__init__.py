"""Structures from files and from other programs' objects, checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import ase
import numpy as np

from rhotem.core import InputError
from rhotem.core.provenance import file_sha256
from rhotem.structure.check import ALLOWED, check
from rhotem.structure.indices import standard_cell, with_parent
from rhotem.structure.model import Structure
from rhotem.structure.ordering import order
from rhotem.structure.read.cell import check_volume
from rhotem.structure.read.contents import Contents
from rhotem.structure.read.formats import read_contents
from rhotem.structure.read.objects import from_atoms
from rhotem.structure.read.sites import Merged, merged


def read_structure(
    source: "str | Path | ase.Atoms | Structure",
    charge: float = 0.0,
    ordering: Literal["auto"] | None = None,
    vacuum: float | None = None,
    *,
    allow_overlaps: bool = False,
) -> Structure:
    """Read a structure from a file of a known format (`rhotem.structure.read.formats`) or an object, and check it.

    Parameters
    ----------
    source : path, ase.Atoms or Structure
        The last image of a trajectory.
    charge : float
        Total charge of the cell in e.
    ordering : "auto", optional
        Replace partly occupied sites by the ordered arrangement of lowest electrostatic energy, in the smallest cell
        that matches the composition. Without it partial occupancies are an error that names the sites.
    vacuum : float, optional
        Vacuum in Å on each side along directions in which the file has no cell (molecules, slabs).
    allow_overlaps : bool
        Go on with atoms nearer than half the sum of their covalent radii.

    Returns
    -------
    Structure
        ``info`` holds ``name``, ``file``, ``sha256`` and ``notes``, remarks for the user.

    Raises
    ------
    InputError
        Missing, empty or corrupt file; unknown format or element; rows, symmetry or composition that contradict each
        other; partial occupancies; no cell; overlapping atoms; positions that are no numbers; no atoms.
    """
    if ordering not in (None, "auto"):
        raise InputError(f"ordering {ordering!r}: expected 'auto' or none")
    if isinstance(source, Structure):
        return _taken(source, vacuum, allow_overlaps)
    info: dict[str, Any] = {ALLOWED: True} if allow_overlaps else {}
    if isinstance(source, ase.Atoms):
        contents, name = from_atoms(source), source.get_chemical_formula()
    else:
        path = Path(source)
        contents, name = read_contents(path), path.name
        info |= {"file": str(path), "sha256": file_sha256(path)}
    check_volume(contents.cell, name)
    notes = list(contents.notes)
    sites = _sites(contents, name)
    notes += sites.notes
    if contents.kelvin is not None and contents.displacements is not None:
        info["displacements_kelvin"] = contents.kelvin
    if sites.partial:
        if ordering is None:
            raise InputError(
                f"{name}: {_listed(sites)}; order them, or let --order do it "
                "(rhotem structure check FILE --order -o ordered.cif writes the choice)"
            )
        structure, info, note = _ordered(sites, info, charge)
        notes.append(note)
        if _moments(sites.contents) is not None:
            notes.append(f"{name}: magnetic moments of partly occupied sites are not passed on to the ordered crystal")
    else:
        one = sites.contents
        atoms = ase.Atoms(list(one.symbols), positions=one.positions, cell=one.cell, pbc=True)
        structure = Structure(atoms, float(charge), _moments(one), {}, one.displacements)
    if len(structure) and np.isfinite(structure.positions).all():
        _add_vacuum(structure.atoms, vacuum, name, notes)
    structure = replace(structure, info={"name": name, **info})
    notes.extend(check(structure))
    structure.info["notes"] = list(dict.fromkeys(notes))
    return structure


def _taken(structure: Structure, vacuum: float | None, allow_overlaps: bool) -> Structure:
    """A structure as it is, unless vacuum or leave for overlaps is added."""
    if vacuum is None and not allow_overlaps:
        check(structure)
        return structure
    notes = list(structure.info.get("notes", []))
    atoms = structure.atoms.copy()
    _add_vacuum(atoms, vacuum, structure.info.get("name", structure.formula), notes)
    allowed = {ALLOWED: True} if allow_overlaps else {}
    taken = replace(structure, atoms=atoms, info={**structure.info, **allowed, "notes": notes})
    check(taken)
    return taken


def _sites(contents: Contents, name: str) -> Merged:
    """Rows as sites; numbers that are none are left to `check`, which says so."""
    if not len(contents.symbols) or not np.isfinite(contents.positions).all() or not np.isfinite(contents.cell).all():
        return Merged(contents, tuple({symbol: 1.0} for symbol in contents.symbols))
    return merged(contents, name)


def _moments(contents: Contents) -> "np.ndarray | None":
    return contents.moments if contents.moments is not None and contents.moments.any() else None


def _ordered(sites: Merged, info: dict[str, Any], charge: float) -> tuple[Structure, dict[str, Any], str]:
    """The ordered arrangement, directions named after the average structure, displacements of its sites."""
    one = sites.contents
    average = Structure(ase.Atoms(list(one.symbols), positions=one.positions, cell=one.cell, pbc=True))
    info = with_parent(info, average)
    listed = sites.sites()
    atoms, note = order(replace(listed, axes=standard_cell(average).right_angles()))
    tensors = None
    if one.displacements is not None:
        places = np.linalg.solve(one.cell.T, atoms.positions.T).T
        offsets = places[:, None] - listed.positions[None]
        distances = np.linalg.norm((offsets - np.rint(offsets)) @ one.cell, axis=2)
        tensors = one.displacements[np.argmin(distances, axis=1)]
    plain = ase.Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    return Structure(plain, float(charge), None, {}, tensors), info, note


def _listed(sites: Merged) -> str:
    """The partly occupied sites in words, at most four different ones."""
    kinds = [sites.occupants[i] for i in sites.partial]
    seen = sorted({" + ".join(f"{k} {round(v, 4):g}" for k, v in sorted(site.items())) for site in kinds})
    more = ", ..." if len(seen) > 4 else ""
    return f"{len(kinds)} of {len(sites.occupants)} sites are partly occupied ({', '.join(seen[:4])}{more})"


def _add_vacuum(atoms: ase.Atoms, vacuum: float | None, name: str, notes: list[str]) -> None:
    """Vacuum along directions without a period."""
    if vacuum is None:
        return
    if not (np.isfinite(vacuum) and vacuum > 0):
        raise InputError(f"{name}: vacuum {vacuum} Å, expected a positive length")
    missing = [i for i in range(3) if np.linalg.norm(atoms.cell.array[i]) < 1e-6]
    if not missing:
        notes.append(
            f"{name}: its cell has three directions; no vacuum is added (rhotem structure build --slab cuts one)"
        )
        return
    atoms.center(vacuum=vacuum, axis=missing)
