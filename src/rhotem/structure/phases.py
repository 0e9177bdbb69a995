"""The catalogue of crystals by name: measured phases with their literature, and structure types.

``phases.json`` holds what was measured: battery phases and test crystals. ``structure_types.json`` holds reference
compounds of the types that recipes of labels start from (`rhotem.labels.recipes`), experimental values, rounded:
battery chemistry, simple types in which nearly every element occurs, and molecules in boxes. Their sources are the
structure papers usually cited (ICSD; Wyckoff, *Crystal Structures*; Pearson's handbook): olivine Yakubovich 1977 /
Andersson 2000; spinel Thackeray 1983; P2 Delmas 1981; γ-Li3PO4 Zemann 1960; Li2FeSiO4 after Nishimura 2008 (idealised
Pmn2₁ Li2MnSiO4, Dominko 2006). A type that is a measured phase refers to it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

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
    "NCM": "NMC111",
    "NCM111": "NMC111",
    "NCM622": "NMC622",
    "NCM811": "NMC811",
    "LiNi1/3Mn1/3Co1/3O2": "NMC111",
    "LiNi0.8Mn0.1Co0.1O2": "NMC811",
    "LMO": "LiMn2O4",
    "LNMO": "LiNi0.5Mn1.5O4",
    "LFP": "LiFePO4",
    "FP": "FePO4",
    "LTO": "Li4Ti5O12",
    "NVP": "Na3V2(PO4)3",
    "NCO": "NaCoO2",
    "argyrodite": "Li6PS5Cl",
    "LPSCl": "Li6PS5Cl",
    "C": "graphite",
    "LLZO": "Li7La3Zr2O12",
    "LPO": "Li3PO4",
    "rutile": "TiO2",
    "BN": "hBN",
    "STO": "SrTiO3",
    "MFI": "silicalite",
}


Site = tuple[str, float, float, float]
Cell = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class StructureType:
    """A crystal by its asymmetric unit.

    Parameters
    ----------
    group : int
        Space group number, first setting; hexagonal axes for rhombohedral groups; origin choice ``setting``.
    cell : tuple
        a, b, c (Å), α, β, γ (degrees).
    sites : tuple of (label, x, y, z)
        The label is the element of the reference compound.
    family : str
        Chemistry: olivine, phosphate, spinel, layered, rocksalt, graphite, metal, SEI, silicon, oxide, fluoride …
    setting : int
        Origin choice of the International Tables.
    """

    group: int
    cell: Cell
    sites: tuple[Site, ...]
    family: str
    setting: int = 1


def names() -> list[str]:
    """Names of the measured phases."""
    return sorted(_table(), key=str.lower)


def is_phase(name: str) -> bool:
    """Whether a measured phase has this name, in any of its spellings."""
    return _known(name) is not None


def describe(name: str) -> dict:
    """Title, class of material, space group, cell and literature reference of a phase."""
    entry = _table()[_resolve(name)]
    return {key: entry[key] for key in ("title", "class", "spacegroup", "cell", "reference")}


@cache
def structure_types() -> Mapping[str, StructureType]:
    """The structure types by name."""
    entries = _read("structure_types.json")
    return MappingProxyType({name: _type(entry) for name, entry in entries.items()})


def reference_compound(name: str, primitive: bool = True) -> ase.Atoms:
    """The reference compound of a structure type; ``arrays["site"]`` counts the sites of its asymmetric unit.

    Raises
    ------
    InputError
        If there is no such type.
    """
    types = structure_types()
    if name not in types:
        raise InputError(f"prototype {name!r}: not known; choose one of {', '.join(sorted(types))}")
    from ase.spacegroup import crystal

    p = types[name]
    atoms = crystal(
        [s[0] for s in p.sites],
        [s[1:] for s in p.sites],
        spacegroup=p.group,
        setting=p.setting,
        cellpar=p.cell,
        primitive_cell=primitive,
    )
    sites = atoms.arrays.get("spacegroup_kinds", np.arange(len(atoms)))
    plain = ase.Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell.array, pbc=True)
    plain.new_array("site", np.asarray(sites, dtype=int))
    return plain


def _type(entry: dict[str, Any]) -> StructureType:
    """A type from its entry: a crystal, a phase that is measured, or a molecule, in Å from the middle of its box."""
    if "phase" in entry:
        entry = {**_table()[entry["phase"]], "class": entry["class"]}
    if "box" in entry:
        box = entry["box"]
        sites = tuple((atom[0], *(0.5 + x / a for x, a in zip(atom[1:], box, strict=True))) for atom in entry["atoms"])
        return StructureType(1, (*box, 90, 90, 90), sites, entry["class"])
    sites = tuple((site[0], *site[1:]) for site in entry["sites"])
    return StructureType(entry["spacegroup"], tuple(entry["cell"]), sites, entry["class"], entry.get("setting", 1))


def phase(name: str, primitive: bool = False, repeats: tuple[int, int, int] | None = None) -> Structure:
    """A phase by name.

    Phases with shared sites (NMC, Li4Ti5O12, Na3V2(PO4)3) are ordered by lowest electrostatic energy in the smallest
    cell that holds the composition; ``info["notes"]`` says so. Directions keep the names of the average structure.

    Parameters
    ----------
    name : str
        One of `names()`, a usual abbreviation (LCO, LFP, NMC811, ...), or one of `structure_types()`.
    primitive : bool
        The primitive cell instead of the conventional one (ordered phases come in their own cell).
    repeats : tuple of three int, optional
        Of the conventional cell, along its axes; shared sites are ordered in it, within 2 % of the composition.

    Raises
    ------
    InputError
        If there is no such phase.
    """
    from ase.spacegroup import crystal

    if name.lower() in structure_types() and not _known(name):
        family = structure_types()[name.lower()].family
        atoms = reference_compound(name.lower(), primitive)
        del atoms.arrays["site"]
        title = f"structure type {name.lower()}, reference compound {atoms.get_chemical_formula(empirical=True)}"
        return Structure(atoms, info={"name": name.lower(), "title": title, "class": family, "notes": []})
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
        primitive_cell=primitive or (shared and repeats is None),
    )
    notes = []
    average = Structure(atoms)
    if shared:
        occupants = [kinds[i] for i in atoms.arrays["spacegroup_kinds"]]
        atoms, note = order(
            Sites(atoms.cell.array, atoms.get_scaled_positions(), occupants, standard_cell(average).right_angles()),
            repeats=repeats,
        )
        notes.append(
            note.replace("the cell of the file", "the primitive cell" if repeats is None else "the usual cell")
        )
    elif repeats is not None:
        atoms = atoms.repeat(repeats)
    elements = list(dict.fromkeys(symbol for kind in kinds for symbol in kind))
    order_by = np.argsort([elements.index(symbol) for symbol in atoms.get_chemical_symbols()], kind="stable")
    atoms = ase.Atoms(atoms.numbers[order_by], positions=atoms.positions[order_by], cell=atoms.cell, pbc=True)
    info = {"name": key, "title": entry["title"], "class": entry["class"], "reference": entry["reference"]}
    info = {**info, "notes": notes}
    mixed = [sorted(set(kind)) for kind in kinds if len(kind) > 1]
    if mixed:  # elements that are each other's neighbours on average
        info["shared"] = mixed
    return Structure(atoms, info=with_parent(info, average) if shared else info)


#: Subscripts as digits, and what stands between the parts of a name, left out.
_PLAIN = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789", " -_")


def _known(name: str) -> str | None:
    """The name in the table of a measured phase, whatever its case, abbreviation, hyphens and subscripts."""
    table = {key.lower(): key for key in _table()}
    table.update({key.lower(): value for key, value in ALIASES.items()})
    return table.get(name.lower().translate(_PLAIN))


def _resolve(name: str) -> str:
    key = _known(name)
    if key is None:
        every = {known.lower(): known for known in (*structure_types(), *ALIASES, *names())}
        near = dict.fromkeys(every[match] for match in get_close_matches(name.lower(), every, 3, 0.6))
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise InputError(f"phase {name}: no such phase, nor a file; rhotem structure phase lists them{meant}")
    return key


@cache
def _table() -> dict[str, dict]:
    return _read("phases.json")


def _read(name: str) -> dict[str, dict]:
    """Entries of a table; "1/3" stands for the number."""
    entries = json.loads(files("rhotem.structure").joinpath(name).read_text("utf-8"))
    for entry in entries.values():
        for site in entry.get("sites", ()):
            site[1:] = [float(Fraction(x)) if isinstance(x, str) else x for x in site[1:]]
    return entries
