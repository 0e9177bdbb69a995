"""Structures to files."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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
#: Formats that hold moments.
MAGNETIC = ("cif", "extxyz", "json", "traj")


def write_structure(structure: Structure, path: str | Path) -> None:
    """Write a structure; the ending decides the format, POSCAR and CONTCAR are known by name.

    A CIF says in comments where the structure is from and what was done to it, and holds the displacement tensors that
    its source states, and moments, along c. Of other formats `unwritten` says what they do not hold.

    Raises
    ------
    InputError
        If the ending is not known.
    """
    import ase.io

    path = Path(path)
    known = check_ending(path)
    atoms = structure.atoms.copy()
    atoms.set_pbc(True)
    if structure.moments is not None:
        atoms.set_initial_magnetic_moments(structure.moments)
    options: dict[str, Any] = {"direct": True} if known == "vasp" else {}
    if known == "vasp":  # stable: records that list atoms know the order
        atoms = atoms[np.argsort(atoms.get_chemical_symbols(), kind="stable")]
    motion = structure.displacements if known == "cif" else None
    if known == "cif":
        options = {"wrap": True}
    if motion is not None:
        options |= displacement_columns(structure, motion)
    ase.io.write(path, atoms, format=known, **options)
    if known == "cif":
        name = re.sub(r"\W", "_", Path(structure.info.get("name") or atoms.get_chemical_formula()).stem)
        text = path.read_text("utf-8").replace("data_image0", f"data_{name}", 1)
        tensors = "" if motion is None else displacement_loop(structure, motion)
        moments = "" if structure.moments is None else _moment_loop(structure)
        path.write_text(_heading(structure) + text + moments + tensors, "utf-8")


def unwritten(structure: Structure, path: str | Path) -> tuple[str, ...]:
    """Remarks on what a structure has and the format of a file does not hold: magnetic moments."""
    if structure.moments is None or check_ending(path) in MAGNETIC:
        return ()
    return (f"{Path(path).name} holds no magnetic moments, those of the structure are lost; write .cif or .extxyz",)


def displacement_columns(structure: Structure, tensors: npt.NDArray[np.float64]) -> dict:
    """Arguments for ASE: a label for every atom and the mean ⟨u²⟩ of its tensor, "?" where there is none."""
    mean = np.trace(tensors, axis1=1, axis2=2) / 3.0
    texts = ["?" if np.isnan(u) else f"{u:.6f}" for u in mean]
    return {"labels": [_labels(structure)], "loop_keys": {"atom_site_U_iso_or_equiv": [texts]}}


def displacement_loop(structure: Structure, tensors: npt.NDArray[np.float64]) -> str:
    """Lines of a CIF with U_ij in the basis a*a, b*b, c*c of the cell, and the temperature of the measurement."""
    lengths = np.linalg.norm(np.linalg.inv(structure.cell), axis=0)
    back = np.linalg.inv(structure.cell.T @ np.diag(lengths))
    kelvin = structure.info.get("displacements_kelvin")
    lines = [] if kelvin is None else [f"_diffrn_ambient_temperature {kelvin:g}"]
    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    rows = [
        "  " + " ".join([name, *(f"{u[i, j]:.6f}" for i, j in pairs)])
        for name, u in zip(_labels(structure), back @ tensors @ back.T, strict=True)
        if not np.isnan(u).any()
    ]
    if rows:  # a loop of nothing is no CIF
        lines += [
            "loop_",
            "  _atom_site_aniso_label",
            *(f"  _atom_site_aniso_U_{i + 1}{j + 1}" for i, j in pairs),
            *rows,
        ]
    return "\n".join(["", *lines, ""])


def _moment_loop(structure: Structure) -> str:
    """Lines of a magnetic CIF with the moments along c: collinear, in no other direction that were better."""
    tags = ["label", *(f"crystalaxis_{axis}" for axis in "xyz")]  # labels are counted as ASE does
    rows = [f"  {n} 0 0 {m:.6g}" for n, m in zip(_labels(structure), np.asarray(structure.moments), strict=True)]
    return "\n".join(["", "loop_", *(f"  _atom_site_moment_{tag}" for tag in tags), *rows, ""])


def _labels(structure: Structure) -> list[str]:
    """Li1, Li2, O1, ...: counted element by element."""
    counts: Counter[str] = Counter()
    names = []
    for symbol in structure.atoms.get_chemical_symbols():
        counts[symbol] += 1
        names.append(f"{symbol}{counts[symbol]}")
    return names


def check_ending(path: str | Path) -> str:
    """ASE's name of the format that a file name stands for.

    Raises
    ------
    InputError
        If it stands for none that is written.
    """
    path = Path(path)
    known = "vasp" if path.name.upper().startswith(("POSCAR", "CONTCAR")) else FORMATS.get(path.suffix.lower())
    if known is None:
        raise InputError(f"{path}: unknown ending; use {', '.join(FORMATS)}, or POSCAR")
    return known


def _heading(structure: Structure) -> str:
    lines = [structure.info.get(key, "") for key in ("title", "reference")]
    lines += [str(note) for note in structure.info.get("notes", [])]
    if structure.charge:
        lines.append(f"total charge {structure.charge:+g} e")
    return "".join(f"# {line}\n" for line in lines if line)
