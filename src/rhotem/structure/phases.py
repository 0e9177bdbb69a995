"""Battery phases and test crystals by name, from space group and sites, with their literature."""

import json
from functools import cache
from importlib.resources import files

import ase
import numpy as np

from rhotem.core import InputError
from rhotem.structure.indices import standard_cell, with_parent
from rhotem.structure.model import Structure
from rhotem.structure.ordering import Sites, order

#: Other names under which phases are asked for.
ALIASES = {
    "LCO": "LiCoO2",
    "LNO": "LiNiO2",
    "NMC": "NMC111",
    "LiNi1/3Mn1/3Co1/3O2": "NMC111",
    "LiNi0.8Mn0.1Co0.1O2": "NMC811",
    "LMO": "LiMn2O4",
    "LNMO": "LiNi0.5Mn1.5O4",
    "LFP": "LiFePO4",
    "FP": "FePO4",
    "LTO": "Li4Ti5O12",
    "NVP": "Na3V2(PO4)3",
    "NCO": "NaCoO2",
    "C": "graphite",
    "LLZO": "Li7La3Zr2O12",
    "LPO": "Li3PO4",
    "rutile": "TiO2",
    "BN": "hBN",
    "STO": "SrTiO3",
}


def names() -> list[str]:
    """Names of the phases."""
    return sorted(_table(), key=str.lower)


def describe(name: str) -> dict:
    """Title, class of material, space group, cell and literature reference of a phase."""
    entry = _table()[_resolve(name)]
    return {key: entry[key] for key in ("title", "class", "spacegroup", "cell", "reference")}


def phase(name: str, primitive: bool = False) -> Structure:
    """A phase by name.

    Phases with shared sites (NMC, Li4Ti5O12, Na3V2(PO4)3) are ordered by lowest electrostatic energy in the smallest
    cell that holds the composition; ``info["notes"]`` says so. Directions keep the names of the average structure.

    Parameters
    ----------
    name : str
        One of `names()`, or a usual abbreviation (LCO, LFP, NMC811, ...).
    primitive : bool
        The primitive cell instead of the conventional one (ordered phases come in their own cell).

    Raises
    ------
    InputError
        If there is no such phase.
    """
    from ase.spacegroup import crystal

    key = _resolve(name)
    entry = _table()[key]
    kinds = [site[0] if isinstance(site[0], dict) else {site[0]: 1.0} for site in entry["sites"]]
    shared = any(len(kind) > 1 or min(kind.values()) < 1 for kind in kinds)
    atoms = crystal(
        [next(iter(kind)) for kind in kinds],
        [site[1:] for site in entry["sites"]],
        spacegroup=entry["spacegroup"],
        setting=entry.get("setting", 1),
        cellpar=entry["cell"],
        primitive_cell=primitive or shared,
    )
    notes = []
    average = Structure(atoms)
    if shared:
        occupants = [kinds[i] for i in atoms.arrays["spacegroup_kinds"]]
        atoms, note = order(
            Sites(atoms.cell.array, atoms.get_scaled_positions(), occupants, standard_cell(average).right_angles())
        )
        notes.append(note.replace("the cell of the file", "the primitive cell"))
    elements = list(dict.fromkeys(symbol for kind in kinds for symbol in kind))
    order_by = np.argsort([elements.index(symbol) for symbol in atoms.get_chemical_symbols()], kind="stable")
    atoms = ase.Atoms(atoms.numbers[order_by], positions=atoms.positions[order_by], cell=atoms.cell, pbc=True)
    info = {"name": key, "title": entry["title"], "class": entry["class"], "reference": entry["reference"]}
    info = {**info, "notes": notes}
    return Structure(atoms, info=with_parent(info, average) if shared else info)


def _resolve(name: str) -> str:
    table = {key.lower(): key for key in _table()}
    table.update({key.lower(): value for key, value in ALIASES.items()})
    if name.lower() not in table:
        raise InputError(f"phase {name}: no such phase; choose one of {', '.join(names())}")
    return table[name.lower()]


@cache
def _table() -> dict[str, dict]:
    return json.loads(files("rhotem.structure").joinpath("phases.json").read_text("utf-8"))
