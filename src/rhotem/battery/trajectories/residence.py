"""Residence map: where the atoms of an element are in the mean of a trajectory, as a number density on a grid."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.battery.trajectories.model import Trajectory
from rhotem.core import InputError, PeriodicGrid
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Spacing of the grid and width (1 σ) of the smoothing in Å.
SPACING, WIDTH = 0.25, 0.25


def residence_map(
    trajectory: Trajectory, element: str, spacing: float = SPACING, width: float = WIDTH
) -> tuple[PeriodicGrid, Floats]:
    """Mean number density of an element in atoms/Å³, in the mean cell; its integral is the number of atoms.

    Every frame's atoms fall into voxels by their fractional coordinates without the drift of the centre of mass, and
    are smoothed by a Gaussian of standard deviation ``width`` (Å; 0: not).

    Raises
    ------
    InputError
        If there is no such element, or a length cannot be.
    """
    if not (np.isfinite(width) and width >= 0):
        raise InputError(f"residence map: width {width} Å, expected 0 or a positive length")
    chosen = trajectory.atoms_of(element)
    grid = PeriodicGrid.from_spacing(trajectory.mean_cell, spacing)
    inverse = np.linalg.inv(trajectory.mean_cell)
    places = trajectory.paths()[:, chosen].reshape(-1, 3) @ inverse
    shape = np.array(grid.shape)
    index = np.floor((places % 1.0) * shape + 0.5).astype(np.int64) % shape
    flat = np.ravel_multi_index(tuple(index.T), grid.shape)
    counts = np.bincount(flat, minlength=grid.size).reshape(grid.shape) / (len(trajectory) * grid.voxel_volume)
    if width > 0:
        factor = np.exp(-2.0 * np.pi**2 * width**2 * grid.g_squared())
        # what the grid makes of a narrow Gaussian is below zero here and there
        counts = np.maximum(grid.inverse_fourier(grid.fourier(counts) * factor), 0.0)
    return grid, np.asarray(counts * (len(chosen) / grid.integrate(counts)))


def write_map(grid: PeriodicGrid, values: Floats, structure: Structure, path: Path) -> None:
    """Write a map as .cube (VESTA, ASE) or .zarr, complete or not there; values stay in atoms/Å³."""
    from rhotem.core.output import output_file

    if path.suffix == ".cube":
        from ase.io.cube import write_cube

        with output_file(path) as target, open(target, "w") as stream:
            write_cube(stream, structure.atoms, data=values, comment="residence map in atoms/A^3")
    elif path.suffix == ".zarr":
        import zarr

        with output_file(path) as target:
            array = zarr.open_array(str(target), mode="w", shape=values.shape, chunks=values.shape, dtype="f4")
            array[:] = values.astype(np.float32)
            array.attrs.update({"unit": "atoms/Å³", "cell_angstrom": grid.cell.tolist()})
    else:
        raise InputError(f"{path}: residence maps are written as .cube or .zarr")
