"""A built specimen: atoms, which region and role each has, where the defects are, and the file that says so."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.output import output_file, to_json
from rhotem.structure.model import Structure
from rhotem.structure.write import check_ending, write_structure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Role of an atom that sits where its crystal has it.
HOST = "host"
#: Ending of the label record beside a structure file, and the name of its format.
ENDING, FORMAT = ".labels.json", {"format": "rhotem-specimen", "format_version": 1}


@dataclass(frozen=True, eq=False)
class Specimen:
    """Atoms of a specimen and what is true of each of them.

    Parameters
    ----------
    structure : Structure
    regions : sequence of dict
        Crystals or layers, each with a ``name`` and what its builder says of it.
    region : (N,) int array
        Region of every atom.
    role : (N,) array of str
        "host", or what the atom is: "antisite", "dopant", "twin plane", "rocksalt" …
    defects : sequence of dict
        Each with ``kind`` and ``position_A`` (3,), or ``plane`` …, and what else its builder knows.
    references : sequence of Structure
        Bulk crystals whose shortest distances are the yardstick of contacts (`rhotem.battery.contacts`).
    """

    structure: Structure
    regions: Sequence[Mapping[str, Any]]
    region: Ints
    role: npt.NDArray[np.str_]
    defects: Sequence[Mapping[str, Any]] = ()
    references: Sequence[Structure] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, structure: Structure, crystal: Structure, name: str = "") -> "Specimen":
        """One region, every atom a host of ``crystal``."""
        region = {"name": name or crystal.info.get("name", crystal.formula), "phase": crystal.formula}
        number = len(structure)
        return cls(structure, [region], np.zeros(number, dtype=np.int64), np.full(number, HOST, object), (), [crystal])

    def noted(self, *notes: str) -> "Specimen":
        """The specimen with more notes."""
        info = {**self.structure.info, "notes": [*self.structure.info.get("notes", []), *notes]}
        return replace(self, structure=replace(self.structure, info=info))

    def record(self, order: Ints | None = None) -> dict[str, Any]:
        """What the label file holds, JSON-ready; ``order``: that of the atoms in the structure file."""
        index = np.arange(len(self.structure)) if order is None else np.asarray(order)
        atoms = self.structure.atoms
        return {
            **FORMAT,
            "formula": atoms.get_chemical_formula(),
            "cell_A": self.structure.cell.tolist(),
            "charge_e": self.structure.charge,
            "regions": [dict(region) for region in self.regions],
            "defects": [dict(defect) for defect in self.defects],
            "atoms": {
                "element": [atoms.symbols[i] for i in index],
                "position_A": np.round(atoms.get_positions()[index], 6).tolist(),
                "region": self.region[index].tolist(),
                "role": [str(role) for role in self.role[index]],
            },
            "notes": list(self.structure.info.get("notes", [])),
            **self.extra,
        }


def write_specimen(specimen: Specimen, path: str | Path, record: Mapping[str, Any] | None = None) -> None:
    """Write the structure, and ``NAME.labels.json`` beside it; both or neither.

    Atoms of the record stand in the order of the file; a POSCAR is sorted by element.

    Raises
    ------
    InputError
        If the ending is not known or nothing can be written there.
    """
    path = Path(path)
    order = None
    if check_ending(path) == "vasp":
        order = np.argsort(specimen.structure.atoms.get_chemical_symbols(), kind="stable")
        structure = specimen.structure
        moments = None if structure.moments is None else np.asarray(structure.moments)[order]
        structure = replace(structure, atoms=structure.atoms[order], moments=moments, displacements=None)
    else:
        structure = replace(specimen.structure, atoms=specimen.structure.atoms.copy())
    region = specimen.region if order is None else specimen.region[order]
    structure.atoms.set_array("region", region)
    with output_file(path) as target:
        write_structure(structure, target)
        labels = {**specimen.record(order), **(record or {})}
        target.with_name(labels_of(path).name).write_text(to_json(labels) + "\n", "utf-8")


def labels_of(path: Path) -> Path:
    """Name of the label record of a structure file."""
    return path.with_name(path.stem + ENDING)


def regions_beside(path: Path, structure: Structure) -> list[str] | None:
    """Name of the region of every atom, from the label record beside a structure file.

    None where there is no record that fits, or it knows a single region.
    """
    try:
        told = json.loads(labels_of(path).read_text("utf-8"))
        if told["format"] != FORMAT["format"] or told["atoms"]["element"] != structure.atoms.get_chemical_symbols():
            return None
        names = [str(told["regions"][index]["name"]) for index in told["atoms"]["region"]]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return names if len(set(names)) > 1 else None
