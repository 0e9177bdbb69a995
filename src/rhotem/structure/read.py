"""Structures from files and from other programs' objects, checked."""

import re
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import ase
import numpy as np

from rhotem.core import InputError
from rhotem.core.provenance import file_sha256
from rhotem.structure.check import check
from rhotem.structure.indices import standard_cell, with_parent
from rhotem.structure.model import Structure
from rhotem.structure.ordering import Sites, order

#: Names under which formats carry occupancies per atom.
OCCUPANCIES = ("occupancy", "occupancies", "occ")


def read_structure(
    source: "str | Path | ase.Atoms | Structure",
    charge: float = 0.0,
    ordering: Literal["auto"] | None = None,
    vacuum: float | None = None,
) -> Structure:
    """Read a structure from anything ASE reads (CIF, POSCAR, xyz, cfg, ...), or take an object, and check it.

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

    Returns
    -------
    Structure
        ``info`` holds ``name``, ``file``, ``sha256`` and ``notes``, remarks for the user.

    Raises
    ------
    InputError
        Missing, empty or corrupt file; unknown element; partial occupancies; no cell; overlapping atoms; positions that
        are no numbers; no atoms.
    """
    if ordering not in (None, "auto"):
        raise InputError(f"ordering {ordering!r}: expected 'auto' or none")
    if isinstance(source, Structure):
        check(source)
        return source
    info: dict[str, Any] = {}
    if isinstance(source, ase.Atoms):
        read, name = source, source.get_chemical_formula()
    else:
        path = Path(source)
        read, name = _read(path), path.name
        info = {"file": str(path), "sha256": file_sha256(path)}
    notes: list[str] = []
    sites = _occupancies(read)
    moments: np.ndarray | None = read.get_initial_magnetic_moments()
    if sites is not None:
        partial = [i for i, kinds in enumerate(sites.occupants) if len(kinds) > 1 or min(kinds.values()) < 0.999]
        if partial and ordering is None:
            raise InputError(
                f"{name}: {_listed(sites, partial)}; order them, or let --order do it "
                "(rhotem structure check FILE --order -o ordered.cif writes the choice)"
            )
        if partial:
            info = with_parent(info, Structure(read))
            axes = standard_cell(Structure(read)).right_angles()
            read, note = order(replace(sites, axes=axes))
            notes.append(note)
            moments = None
    atoms = ase.Atoms(read.numbers, positions=read.positions, cell=read.cell, pbc=True)
    if len(atoms) and np.isfinite(atoms.positions).all():
        _add_vacuum(atoms, vacuum, name)
    if moments is not None and not moments.any():
        moments = None
    structure = Structure(atoms, float(charge), moments, {"name": name, **info})
    notes.extend(check(structure))
    structure.info["notes"] = notes
    return structure


def _read(path: Path) -> ase.Atoms:
    """ASE's reading of a file, its errors turned into one line."""
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the structure file inside it")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    try:
        return _ase_read(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except KeyError as error:
        symbol = str(error.args[0]) if error.args else "?"
        if symbol == "D":
            return _read_without_deuterium(path)
        if re.fullmatch(r"[A-Za-z]{1,3}", symbol):
            raise InputError(f"{path}: unknown element {symbol}; expected a chemical symbol") from error
        raise InputError(f"{path}: it cannot be read as a structure, entry {symbol} is missing") from error
    except Exception as error:  # every reader of ASE fails in its own way on a corrupt file
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        if type(error).__name__ == "SpacegroupValueError" and "must be given" in reason:
            raise InputError(
                f"{path}: symmetry operations but no name of the space group, which the reader needs; "
                "add _space_group_name_H-M_alt with its symbol, or convert the file to P 1"
            ) from error
        raise InputError(f"{path}: it cannot be read as a structure ({reason})") from error


def _ase_read(path: Path) -> ase.Atoms:
    import ase.io

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        atoms = ase.io.read(path, index=-1)
    if not isinstance(atoms, ase.Atoms):
        raise InputError(f"{path}: it holds no structure")
    return atoms


def _read_without_deuterium(path: Path) -> ase.Atoms:
    """The same file with D read as H: electrons see no difference."""
    text = re.sub(r"(?m)^(\s*)D(?=\s)", r"\1H", path.read_text())
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_text(text)
        return _ase_read(copy)


def _occupancies(atoms: ase.Atoms) -> Sites | None:
    """Occupants of every site where a file says so: CIF tables, or a number per atom (cfg, xyz, Prismatic)."""
    symbols = atoms.get_chemical_symbols()
    table = atoms.info.get("occupancy")
    if isinstance(table, dict) and "spacegroup_kinds" in atoms.arrays:
        kinds = [{str(k): float(v) for k, v in table[str(i)].items()} for i in atoms.arrays["spacegroup_kinds"]]
    else:
        name = next((key for key in atoms.arrays if key.lower() in OCCUPANCIES), None)
        if name is None:
            return None
        kinds = [{s: float(v)} for s, v in zip(symbols, atoms.arrays[name], strict=True)]
    kinds = [{"H" if s == "D" else s: v for s, v in site.items()} for site in kinds]
    return Sites(atoms.cell.array, atoms.get_scaled_positions(wrap=True), kinds)


def _listed(sites: Sites, partial: list[int]) -> str:
    """The partly occupied sites in words, at most four different ones."""
    seen = sorted({" + ".join(f"{k} {v:g}" for k, v in sorted(sites.occupants[i].items())) for i in partial})
    more = ", ..." if len(seen) > 4 else ""
    return f"{len(partial)} of {len(sites.occupants)} sites are partly occupied ({', '.join(seen[:4])}{more})"


def _add_vacuum(atoms: ase.Atoms, vacuum: float | None, name: str) -> None:
    missing = [i for i in range(3) if np.linalg.norm(atoms.cell.array[i]) < 1e-6]
    if vacuum is None or not missing:
        return
    if not (np.isfinite(vacuum) and vacuum > 0):
        raise InputError(f"{name}: vacuum {vacuum} Å, expected a positive length")
    atoms.center(vacuum=vacuum, axis=missing)
