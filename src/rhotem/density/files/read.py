"""`read_density`: any supported file, recognised by name."""

from pathlib import Path

from rhotem.core import InputError
from rhotem.density.files.arrays import read_npy, read_npz
from rhotem.density.files.cube import read_cube
from rhotem.density.files.raw import RawDensity
from rhotem.density.files.vasp import content_of, read_vasp
from rhotem.density.files.xsf import read_xsf
from rhotem.density.files.zarr_store import read_zarr
from rhotem.structure.model import Structure

READABLE = "CHGCAR, CHG, AECCAR0/1/2, PARCHG, LOCPOT, .cube, .xsf, .npz, .npy, .zarr (text files also .gz, .bz2, .xz)"
COMPRESSED = (".gz", ".bz2", ".xz")


def format_of(path: Path) -> str:
    """Name of the format that a file name stands for.

    Raises
    ------
    InputError
        If it stands for none.
    """
    name = path.name.lower()
    for suffix in COMPRESSED:
        name = name.removesuffix(suffix)
    suffix = Path(name).suffix
    formats = {".cube": "cube", ".cub": "cube", ".xsf": "xsf", ".npz": "npz", ".npy": "npy", ".zarr": "zarr"}
    if suffix in formats:
        return formats[suffix]
    if suffix == ".gpw":
        return "gpw"
    if content_of(path.name) or suffix == ".vasp":
        return "VASP"
    raise InputError(f"{path}: unknown density format; expected a name like {READABLE}")


def read_density(path: str | Path, structure: Structure | None = None, endpoint: bool | None = None) -> RawDensity:
    """Read a density file as it is: units and index order converted, nothing corrected.

    Parameters
    ----------
    path : str or Path
        CHGCAR, CHG, AECCAR0/1/2, PARCHG, LOCPOT, cube, xsf, npz, npy or zarr; text files may be compressed.
    structure : Structure, optional
        Needed for npy, which has no atoms; tells for cubes whether the endpoint is repeated.
    endpoint : bool, optional
        Overrides the format's convention (cube: excluded; xsf: included).

    Returns
    -------
    RawDensity

    Raises
    ------
    InputError
        Missing, empty, truncated or damaged file, unknown format, values that are not finite.
    """
    path = Path(path)
    kind = format_of(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if kind in ("npz", "npy") and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    if kind == "VASP":
        return read_vasp(path)
    if kind == "cube":
        return read_cube(path, endpoint, None if structure is None else structure.cell)
    if kind == "xsf":
        return read_xsf(path, endpoint)
    if kind == "npz":
        return read_npz(path)
    if kind == "npy":
        return read_npy(path, structure)
    if kind == "zarr":
        return read_zarr(path)
    raise InputError(f"{path}: a GPAW file holds more than a grid; use it as a source (--source {path}) instead")
