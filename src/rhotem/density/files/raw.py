"""`RawDensity`, what a density file says before anything is decided about it, and the text helpers of the readers."""

import bz2
import gzip
import itertools
import lzma
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import ase
import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.field import OneCentre
from rhotem.structure.model import Structure

#: What the values of a file are. "pseudo-valence" is pseudised within augmentation spheres (VASP's CHGCAR),
#: "free-valence" the superposed atoms of AECCAR1, "potential" an energy (LOCPOT), "unknown" is decided by counting.
Content = Literal[
    "deformation",
    "valence",
    "pseudo-valence",
    "total",
    "core",
    "free-valence",
    "spin",
    "partial",
    "potential",
    "unknown",
]

#: How compressed files begin, and what opens them.
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_SUFFIXES = (".gz", ".bz2", ".xz")
_CHUNK = 65536
#: Fortran drops the E of three-digit exponents: 0.12-103.
_FORTRAN = re.compile(rb"([0-9.])([+-][0-9]{3})\b")


@dataclass(frozen=True, eq=False)
class RawDensity:
    """A density file as read: units and index order of docs/conventions.md, nothing corrected.

    Parameters
    ----------
    structure : Structure
        Atoms and cell written in the file.
    grid : PeriodicGrid
        The file's own points; an endpoint that repeats the first plane is already dropped.
    values : array of the grid's shape
        e/Å³ (eV for ``content="potential"``).
    spin : array or None
        n↑ − n↓ in e/Å³.
    content : str
        What the values are, as far as name and format tell.
    format : str
        Name of the format.
    path : Path
    one_centre : tuple of OneCentre
        Sharp parts, of RhoTEM's own formats.
    known : dict
        Anything else the file says: title, augmentation occupancies, endpoint handling, reference, settings.
    """

    structure: Structure
    grid: PeriodicGrid
    values: npt.NDArray
    spin: npt.NDArray | None = None
    content: Content = "unknown"
    format: str = ""
    path: Path = Path()
    one_centre: tuple[OneCentre, ...] = ()
    known: dict = field(default_factory=dict)

    @property
    def electrons(self) -> float:
        """Sum over the grid times the voxel volume, in e."""
        return self.grid.integrate(self.values)


class TextReader:
    """Lines and blocks of numbers from a text file, compressed or not; errors name file and line.

    Raises
    ------
    InputError
        If the file is missing, empty or not what its compression suffix says.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.is_dir():
            raise InputError(f"{path}: is a folder, expected a density file")
        with path.open("rb") as stream:
            head = stream.read(8)
        opener = next((opener for begin, opener in _OPENERS.items() if head.startswith(begin)), open)
        if opener is open and head and path.suffix.lower() in _SUFFIXES:
            raise InputError(f"{path}: cannot be decompressed, it is not compressed as its name says; rename it")
        self._stream = cast(BinaryIO, opener(path, "rb"))
        self.number = 0
        self._lines: Iterator[bytes] = iter(self._stream)
        first = self._next()
        if not first:
            raise InputError(f"{path}: the file is empty")
        self._lines = itertools.chain([first], self._lines)

    def __enter__(self) -> "TextReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _next(self) -> bytes:
        try:
            return next(self._lines, b"")
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise InputError(f"{self.path}: cannot be decompressed ({error}); copy the file again") from None

    def line(self) -> str | None:
        """Next line without its end, or None at the end of the file."""
        raw = self._next()
        if not raw:
            return None
        self.number += 1
        return raw.decode("utf-8", errors="replace").rstrip("\r\n")

    def peek(self) -> str:
        """The line that comes next; empty at the end."""
        raw = self._next()
        self._lines = itertools.chain([raw] if raw else [], self._lines)
        return raw.decode("utf-8", errors="replace").rstrip("\r\n")

    def need(self, what: str) -> str:
        """Next line; InputError if the file ends here."""
        text = self.line()
        if text is None:
            raise InputError(f"{self.path}: ends at line {self.number} where {what} is expected; the file is truncated")
        return text

    def floats(self, what: str, count: int) -> npt.NDArray[np.float64]:
        """First ``count`` numbers of the next line."""
        text = self.need(what)
        try:
            values = np.array([float(word) for word in text.split()[:count]])
        except ValueError:
            values = np.empty(0)
        if len(values) < count:
            raise InputError(f"{self.path}: line {self.number} is {text.strip()!r}, expected {what}")
        return values

    def ints(self, what: str, count: int) -> list[int]:
        """First ``count`` integers of the next line."""
        values = self.floats(what, count)
        if not np.all(values == np.rint(values)):
            raise InputError(f"{self.path}: line {self.number} has no integers, expected {what}")
        return [int(v) for v in values]

    def numbers(self, line: str) -> int:
        """How many numbers a line holds; 0 if it holds anything else."""
        found = _parse(line.encode())
        return 0 if found is None else len(found)

    def done(self, what: str) -> None:
        """InputError if numbers follow ``what`` directly: the grid is another than its head says, or one of several."""
        while (line := self.line()) is not None:
            if self.numbers(line):
                raise InputError(
                    f"{self.path}: line {self.number} has more numbers behind {what}; the grid numbers in its head are "
                    "wrong, or it holds several data sets: give the density alone"
                )
            if line.strip():
                return

    def block(self, count: int, what: str) -> npt.NDArray[np.float64]:
        """The next ``count`` numbers, which fill whole lines; the last line may be shorter."""
        values = np.empty(count)
        done, per_line = 0, 0
        while done < count:
            chunk = self._chunk((count - done) // per_line if per_line else 1)
            numbers = _parse(chunk)
            found = 0 if numbers is None else len(numbers)
            if not found or done + found > count:
                raise InputError(
                    f"{self.path}: {what} has {done + found} readable numbers by line {self.number}, "
                    f"expected {count}; the file is truncated or damaged"
                )
            values[done : done + found] = numbers
            done += found
            per_line = per_line or found
        if not np.isfinite(values).all():
            raise InputError(
                f"{self.path}: {what} contains {int((~np.isfinite(values)).sum())} values that are not finite"
            )
        return values

    def _chunk(self, lines: int) -> bytes:
        lines = min(max(lines, 1), _CHUNK)
        try:
            chunk = list(itertools.islice(self._lines, lines))
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise InputError(f"{self.path}: cannot be decompressed ({error}); copy the file again") from None
        self.number += len(chunk)
        return b"".join(chunk)


def _parse(text: bytes) -> npt.NDArray[np.float64] | None:
    """Numbers of a piece of text; None if something in it is not a number (VASP prints ``****`` on overflow)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for candidate in (text, _FORTRAN.sub(rb"\1E\2", text.replace(b"D", b"E"))):
            try:
                return np.fromstring(candidate, sep=" ")
            except (DeprecationWarning, ValueError):
                continue
    return None


def check_atoms(path: Path, numbers: npt.NDArray, positions: npt.NDArray, cell: npt.NDArray) -> ase.Atoms:
    """Periodic atoms of a file; InputError for elements or coordinates that make no sense."""
    numbers, positions = np.atleast_1d(np.asarray(numbers)), np.asarray(positions, dtype=float)
    if len(numbers) == 0:
        raise InputError(f"{path}: lists no atoms")
    if numbers.dtype.kind in "US":
        numbers = np.array([symbol_number(path, str(symbol)) for symbol in numbers])
    if numbers.dtype.kind not in "iuf" or (numbers != np.rint(numbers)).any():
        raise InputError(f"{path}: its atomic numbers are no whole numbers")
    if positions.shape != (len(numbers), 3):
        raise InputError(f"{path}: positions of shape {positions.shape} for {len(numbers)} atoms, expected (N, 3)")
    if np.min(numbers) < 1 or np.max(numbers) > 118:
        raise InputError(f"{path}: atomic numbers {sorted(set(map(int, numbers)))} are outside 1 to 118")
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        raise InputError(f"{path}: positions or cell are not finite")
    return ase.Atoms(numbers=numbers.astype(int), positions=positions, cell=cell, pbc=True)


def symbol_number(path: Path, symbol: str) -> int:
    """Atomic number of a symbol as files write it (``Fe``, ``Fe_pv``, ``FE/abc``)."""
    from ase.data import atomic_numbers

    plain = symbol.split("_")[0].split("/")[0].strip().capitalize()
    if plain not in atomic_numbers or atomic_numbers[plain] == 0:
        raise InputError(f"{path}: {symbol!r} is no element symbol")
    return int(atomic_numbers[plain])


def shifted(grid: PeriodicGrid, values: npt.NDArray, origin: npt.NDArray) -> npt.NDArray:
    """Values sampled at ``origin + grid`` moved to the grid itself.

    Whole voxels are rolled; fractions of a voxel are Fourier-shifted, exact for what the grid can represent.
    """
    steps = np.linalg.solve(grid.cell.T, origin) * np.array(grid.shape)
    if np.allclose(steps, np.rint(steps), atol=1e-4):
        whole = np.rint(steps).astype(int)
        return np.roll(values, tuple(whole), axis=(0, 1, 2)) if whole.any() else values
    coefficients = grid.fourier(values)
    for axis, (n, h) in enumerate(zip(grid.shape, grid.indices(), strict=True)):
        phase = np.exp(-2j * np.pi * h * steps[axis] / n)
        if n % 2 == 0:
            phase[n // 2] = phase[n // 2].real
        coefficients *= phase.reshape([-1 if i == axis else 1 for i in range(3)])
    return grid.inverse_fourier(coefficients)
