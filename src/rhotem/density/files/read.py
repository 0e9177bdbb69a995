"""`read_density`: any supported file, recognised by name."""

from pathlib import Path

from rhotem.core import InputError
from rhotem.density.files.formats import format_of
from rhotem.density.files.raw import RawDensity
from rhotem.structure.model import Structure


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
    form = format_of(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if form.medium == "binary" and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty")
    return form.read(path, structure, endpoint)
