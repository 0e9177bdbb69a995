"""The table of density formats: an ending, and what reads and writes it."""

from pathlib import Path

from rhotem.core import InputError
from rhotem.density.files import arrays, cube, vasp, xsf, zarr_store
from rhotem.density.files.format import Format
from rhotem.density.files.raw import RawDensity
from rhotem.structure.model import Structure

READABLE = "CHGCAR, CHG, AECCAR0/1/2, PARCHG, LOCPOT, .cube, .xsf, .npz, .npy, .zarr (text files also .gz, .bz2, .xz)"
COMPRESSED = (".gz", ".bz2", ".xz")


def _more_than_a_grid(path: Path, structure: Structure | None, endpoint: bool | None) -> RawDensity:
    raise InputError(f"{path}: a GPAW file holds more than a grid; use it as a source (--source {path}) instead")


#: Formats by the ending of the file's name in small letters.
FORMATS: dict[str, Format] = {
    ".cube": cube.FORMAT,
    ".cub": cube.FORMAT,
    ".xsf": xsf.FORMAT,
    ".vasp": vasp.FORMAT,
    ".npz": arrays.NPZ,
    ".npy": arrays.NPY,
    ".zarr": zarr_store.FORMAT,
    ".gpw": Format("GPAW", _more_than_a_grid, source="gpaw"),
}


def format_of(path: Path) -> Format:
    """The format that a file name stands for.

    Raises
    ------
    InputError
        If it stands for none.
    """
    name = path.name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    by_ending = FORMATS.get(Path(name).suffix)
    known = by_ending or next((form for form in FORMATS.values() if form.called(path.name)), None)
    if known is None:
        raise InputError(f"{path}: unknown density format; expected a name like {READABLE}")
    return known


def units_of(raw: RawDensity) -> tuple[tuple[float, ...], ...]:
    """Factors by which the values of a file may have to be multiplied (`Format.units`)."""
    return next(form for form in FORMATS.values() if form.name == raw.format).units(raw)
