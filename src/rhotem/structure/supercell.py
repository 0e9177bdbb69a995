"""Repeats that hold a probe, thicknesses in whole cells, and grids that FFTs like."""

import numpy as np

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.grid import smooth_length
from rhotem.structure.orient import ImagingCell


def supercell_for_probe(cell: ImagingCell, width: float, thickness_nm: float | None = None) -> ImagingCell:
    """Repeat a cell across the beam until a probe (or a defect and its surroundings) fits, and along it to a thickness.

    Parameters
    ----------
    cell : ImagingCell
    width : float
        Least extent in Å along x and y.
    thickness_nm : float, optional
        Thickness in nm; whole repeats nearest to it. Without it the cell is not repeated along the beam.

    Raises
    ------
    InputError
        If width or thickness is not positive, or the result holds more atoms than `ImagingCell.repeated` makes.
    """
    if not (np.isfinite(width) and width > 0):
        raise InputError(f"width {width} Å: expected a positive length")
    nx, ny = lateral_repeats(cell, width)
    nz = 1 if thickness_nm is None else thickness_repeats(cell, thickness_nm)[0]
    return cell.repeated(nx, ny, nz)


def lateral_repeats(cell: ImagingCell, width: float) -> tuple[int, int]:
    """Fewest repeats (without prime factors above 7) along x and y that reach ``width`` Å."""
    nx, ny = (smooth_length(int(np.ceil(width / length - 1e-9))) for length in cell.lengths[:2])
    return nx, ny


def thickness_repeats(cell: ImagingCell, thickness_nm: float) -> tuple[int, float]:
    """Whole repeats along the beam nearest to a thickness, at least one, and the thickness they really have in nm."""
    if not (np.isfinite(thickness_nm) and thickness_nm > 0):
        raise InputError(f"thickness {thickness_nm} nm: expected a positive length")
    period = float(cell.lengths[2])
    repeats = max(1, round(10.0 * thickness_nm / period))
    return repeats, repeats * period / 10.0


def imaging_grid(cell: ImagingCell, sampling: float, slices: int) -> PeriodicGrid:
    """The slice grid of one imaging cell: x and y pixels, and as third axis the slices.

    Parameters
    ----------
    cell : ImagingCell
    sampling : float
        Largest pixel in Å. The numbers of pixels have no prime factor above 7, and so have those of any supercell of
        `supercell_for_probe`, whose grid is `repeated_grid` of this one: pixels never straddle repeats.
    slices : int
        Equal slices in the cell.

    Raises
    ------
    InputError
        If the sampling is not a positive number.
    """
    if not (np.isfinite(sampling) and sampling > 0):
        raise InputError(f"sampling {sampling} Å: expected a positive length")
    lx, ly = cell.lengths[:2]
    nx, ny = (smooth_length(int(np.ceil(length / sampling - 1e-9))) for length in (lx, ly))
    return PeriodicGrid(cell.structure.cell, (nx, ny, slices))


def repeated_grid(grid: PeriodicGrid, nx: int, ny: int, nz: int) -> PeriodicGrid:
    """The grid of a repeated cell whose points are the repeated points of ``grid``."""
    counts = np.array([nx, ny, nz])
    a, b, c = (int(n) for n in counts * np.array(grid.shape))
    return PeriodicGrid(counts[:, None] * grid.cell, (a, b, c))
