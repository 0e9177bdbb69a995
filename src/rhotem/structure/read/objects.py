"""`ase.Atoms`, and what ASE reads, as `Contents`."""

import io
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase
import numpy as np

from rhotem.core import InputError
from rhotem.structure.read.contents import Contents, Text

#: Names under which formats carry occupancies per atom.
OCCUPANCIES = ("occupancy", "occupancies", "occ")
#: Warnings of ASE that say nothing about the structure.
_HARMLESS = ("deprecat", "implicit use", "please use", "plugin")


def from_atoms(atoms: ase.Atoms) -> Contents:
    """Rows of atoms with their occupancies: a table of CIF sites, or a number per atom."""
    moments = atoms.get_initial_magnetic_moments()
    calculated = getattr(atoms.calc, "results", {}).get("magmoms")  # where a reader puts moments of a calculation
    if calculated is not None and not moments.any() and len(calculated) == len(atoms):
        moments = np.asarray(calculated, dtype=float)
    symbols, positions = list(atoms.get_chemical_symbols()), atoms.positions
    collinear = moments if moments.shape == (len(atoms),) and moments.any() else None
    notes = ("magnetic moments that are not collinear are not used",) if moments.ndim > 1 and moments.any() else ()
    table = atoms.info.get("occupancy")
    if isinstance(table, dict) and "spacegroup_kinds" in atoms.arrays:
        rows, kinds, shares = [], [], []
        for n, kind in enumerate(atoms.arrays["spacegroup_kinds"]):
            for symbol, share in table[str(kind)].items():
                rows.append(n)
                kinds.append("H" if symbol in ("D", "T") else str(symbol))
                shares.append(float(share))
        return Contents(atoms.cell.array, positions[rows], tuple(kinds), np.array(shares))
    name = next((key for key in atoms.arrays if key.lower() in OCCUPANCIES), None)
    occupancies = None if name is None else np.asarray(atoms.arrays[name], dtype=float)
    return Contents(
        atoms.cell.array.copy(), positions.copy(), tuple(symbols), occupancies, moments=collinear, notes=notes
    )


def read_with_ase(text: Text, format: str) -> Contents:
    """The last structure of a file by ASE's reader of one named format; its warnings become remarks.

    Raises
    ------
    InputError
        Where ASE fails.
    """
    path = text.path
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            atoms: Any = _by_reader(text, format)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # every reader of ASE fails in its own way on a corrupt file
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"{path}: it cannot be read as {format} ({reason})") from error
    if not isinstance(atoms, ase.Atoms):
        raise InputError(f"{path}: it holds no structure")
    contents = from_atoms(atoms)
    said = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
    notes = [f"{path.name}: {line[:200]}" for line in said if not any(word in line.lower() for word in _HARMLESS)]
    return replace(contents, notes=(*notes, *contents.notes))


def _by_reader(text: Text, format: str) -> Any:
    """What ASE reads: the text as decoded, so that its encoding does not matter; binary formats from the file."""
    import ase.io
    from ase.io.formats import ioformats

    if not hasattr(text, "all"):
        return ase.io.read(text.path, index=-1, format=format)
    if ioformats[format].acceptsfd:
        return ase.io.read(io.StringIO(text.all), index=-1, format=format)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "structure"
        plain.write_text(text.all, "utf-8")
        return ase.io.read(plain, index=-1, format=format)
