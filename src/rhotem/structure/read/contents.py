"""`Contents`, what a structure file says before anything is decided about it, and `Text`, the file as lines."""

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.nearby import inside, nearby

Floats = npt.NDArray[np.float64]

#: How compressed files begin, and what unpacks them.
_PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ\x00": lzma.decompress}
#: Endings of the structures that people keep.
_USUAL = (".cif", ".vasp", ".poscar", ".xyz", ".extxyz")
#: How files begin that hold no structure as text, and what to say.
_FOREIGN = {
    b"PK\x03\x04": "it is a zip archive; unpack it first",
    b"%PDF": "it is a PDF document",
    b"\x89PNG": "it is a picture (PNG); rhotem read reads measured ones",
    b"\x89HDF": "it is an HDF5 file; write the structure as CIF or POSCAR",
}


@dataclass(frozen=True, eq=False)
class Contents:
    """Rows of atoms as a file lists them, symmetry applied: several rows may share a site.

    Parameters
    ----------
    cell : (3, 3) array
        Å, rows; zeros where the file has no period.
    positions : (N, 3) array
        Cartesian, Å.
    symbols : tuple of N str
        Elements; D and T are H already.
    occupancies : (N,) array or None
        None where the format has no occupancies.
    labels : tuple of N str
        Names of the rows for messages; empty: number and element.
    displacements : (N, 3, 3) array or None
        ⟨u_i u_j⟩ in Å², Cartesian, NaN where not stated.
    kelvin : float or None
        Temperature of the displacements.
    moments : (N,) array or None
        Bohr magnetons.
    notes : tuple of str
        Remarks of the reader.
    """

    cell: Floats
    positions: Floats
    symbols: tuple[str, ...]
    occupancies: Floats | None = None
    labels: tuple[str, ...] = ()
    displacements: Floats | None = None
    kelvin: float | None = None
    moments: Floats | None = None
    notes: tuple[str, ...] = ()

    def named(self, row: int) -> str:
        """A row in words."""
        return f"{self.labels[row]} ({self.symbols[row]})" if self.labels else f"{self.symbols[row]} (atom {row + 1})"


class Text:
    """A text file as lines; every error names file and line.

    Parameters
    ----------
    path : Path
        Compressed (gzip, bzip2, xz, by content) or not; UTF-8 with or without byte-order mark, UTF-16, else Latin-1.

    Raises
    ------
    InputError
        If the file is missing, a folder, empty, or not what its compression suffix says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.all = _decoded(path)
        self.lines = self.all.splitlines()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        while self.number < len(self.lines):
            yield self.need("")

    @property
    def more(self) -> bool:
        """Whether a line is left."""
        return self.number < len(self.lines)

    def peek(self) -> str:
        """The line that `need` would return; empty at the end."""
        return self.lines[self.number] if self.more else ""

    def need(self, what: str) -> str:
        """Next line; InputError if the file ends where ``what`` is expected."""
        if not self.more:
            raise InputError(f"{self.path}: ends at line {self.number} where {what} is expected; the file is truncated")
        self.number += 1
        return self.lines[self.number - 1]

    def fail(self, what: str) -> InputError:
        """The error that the line read last is not ``what``."""
        line = self.lines[self.number - 1].strip() if self.number else ""
        return InputError(f"{self.path}: line {self.number} is {line[:60]!r}, expected {what}")

    def floats(self, what: str, count: int) -> list[float]:
        """The first ``count`` numbers of the next line."""
        words = self.need(what).split()[:count]
        try:
            if len(words) < count:
                raise ValueError
            return [number(word) for word in words]
        except ValueError:
            raise self.fail(what) from None

    def ints(self, what: str, count: int) -> list[int]:
        """The first ``count`` whole numbers of the next line."""
        values = self.floats(what, count)
        if any(value != int(value) for value in values):
            raise self.fail(what)
        return [int(value) for value in values]


def number(word: str) -> float:
    """A finite number as programs write it, Fortran's ``1.5D0`` included; ValueError for anything else."""
    value = float(word.replace("D", "E").replace("d", "e") if word[:1] in "+-.0123456789" else word)
    if not np.isfinite(value) or "_" in word:
        raise ValueError(f"{word} is not a finite number")
    return value


def _ready(path: Path) -> str:
    """That the phase a file is named after needs no file."""
    from rhotem.structure.phases import is_phase

    return f"; {path.stem} is a ready phase, it needs no file" if is_phase(path.stem) else ""


def _decoded(path: Path) -> str:
    if not path.exists():
        raise InputError(f"{path}: no such file{_ready(path) or nearby(path)}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the structure file inside it{inside(path, _USUAL)}")
    try:
        raw = path.read_bytes()
        unpack = next((unpack for begin, unpack in _PACKED.items() if raw.startswith(begin)), None)
        if unpack is None and path.suffix.lower() in (".gz", ".bz2", ".xz"):
            raise InputError(f"{path}: cannot be read, it is not compressed as its name says; rename it")
        raw = raw if unpack is None else unpack(raw)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    raw = raw.rstrip(b"\x1a")  # end of text in DOS
    if not raw.strip():
        raise InputError(f"{path}: the file is empty")
    for begin, what in _FOREIGN.items():
        if raw.startswith(begin):
            raise InputError(f"{path}: it cannot be read as a structure, {what}")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    if raw[:400].count(0) > len(raw[:400]) // 3:  # UTF-16 without a byte-order mark
        return raw.decode("utf-16-be" if raw[0] == 0 else "utf-16-le", errors="replace")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if re.match(r"\s*<(!doctype\s+html|html)", text, re.IGNORECASE):
        raise InputError(f"{path}: it cannot be read as a structure, it is a web page (HTML); download the file itself")
    return text
