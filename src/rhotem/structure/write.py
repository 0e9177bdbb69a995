"""Structures to files."""

import re
from pathlib import Path

from rhotem.core import InputError
from rhotem.structure.model import Structure

#: Endings, and what ASE calls the format.
FORMATS = {
    ".cif": "cif",
    ".vasp": "vasp",
    ".poscar": "vasp",
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".cfg": "cfg",
    ".xsf": "xsf",
    ".json": "json",
    ".traj": "traj",
}


def write_structure(structure: Structure, path: str | Path) -> None:
    """Write a structure; the ending decides the format, POSCAR and CONTCAR are known by name.

    A CIF says in comments where the structure is from and what was done to it.

    Raises
    ------
    InputError
        If the ending is not known.
    """
    import ase.io

    path = Path(path)
    stem = path.name.upper()
    known = "vasp" if stem.startswith(("POSCAR", "CONTCAR")) else FORMATS.get(path.suffix.lower())
    if known is None:
        raise InputError(f"{path}: unknown ending; use {', '.join(FORMATS)}, or POSCAR")
    atoms = structure.atoms.copy()
    atoms.set_pbc(True)
    if structure.moments is not None:
        atoms.set_initial_magnetic_moments(structure.moments)
    options = {"direct": True, "sort": True} if known == "vasp" else {}
    if known == "cif":
        options = {"wrap": True}
    ase.io.write(path, atoms, format=known, **options)
    if known == "cif":
        name = re.sub(r"\W", "_", Path(structure.info.get("name") or atoms.get_chemical_formula()).stem)
        text = path.read_text("utf-8").replace("data_image0", f"data_{name}", 1)
        path.write_text(_heading(structure) + text, "utf-8")


def _heading(structure: Structure) -> str:
    lines = [structure.info.get(key, "") for key in ("title", "reference")]
    lines += [str(note) for note in structure.info.get("notes", [])]
    if structure.charge:
        lines.append(f"total charge {structure.charge:+g} e")
    return "".join(f"# {line}\n" for line in lines if line)
