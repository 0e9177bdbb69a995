"""The deformation density carried along by displaced atoms: Hirshfeld pieces.

Every point's Δn is shared among the free atoms there, w_a = n_a / Σ n (F. L. Hirshfeld, Theor. Chim. Acta 44, 129
(1977)); each piece moves rigidly with its atom. In the imaging cell, with f_a the transform of the piece of crystal
atom a about its nucleus and the sum over that atom's displaced copies,

    Δn_H = (1/Ω) Σ_a f_a(g_H) Σ_copies exp(−2πi H·f_copy).

Only fractional coordinates enter, so the crystal may be rotated and strained. One-centre parts move the same way.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.core import MemoryLimitError, PeriodicGrid
from rhotem.density.field import DensityField, OneCentre
from rhotem.potential.deformation import check_field, poisson, usable
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.structure.orient import ImagingCell

#: Radius in Å within which an atom claims its share; free atoms hold less than 1e-3 e beyond.
REACH = 5.0
#: Largest |g| in 1/Å to which one-centre parts move.
MOVING = 5.0
#: Largest frequency along the beam in 1/Å.
STEEPEST = 6.0
#: Points up to which matrix products beat a non-uniform FFT.
DIRECT = 2000


def moving_coefficients(
    cell: "ImagingCell",
    field: DensityField,
    grid: PeriodicGrid,
    displacements: npt.NDArray[np.float64],
    memory_limit: float | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.complex128]]:
    """V[Δn]_H in V on the imaging cell with the deformation density moving with the atoms.

    Parameters
    ----------
    cell : ImagingCell
    field : DensityField
        Deformation density of the crystal at rest.
    grid : PeriodicGrid
        Imaging cell; coefficients beyond its in-plane Nyquist lines are left out.
    displacements : (N, 3) array
        Cartesian displacements in Å of the imaging cell's atoms.
    memory_limit : float or None
        Bytes the three-dimensional transforms may use.

    Raises
    ------
    MemoryLimitError
        If they would not fit; "averaged" needs no such transforms.
    """
    indices, wanted, modes, transforms = _transforms(cell, field, grid, memory_limit)
    places = (cell.structure.positions + displacements) @ np.linalg.inv(grid.cell)
    density = np.zeros(len(indices), dtype=complex)
    for atom, transform in enumerate(transforms):
        copies = places[np.asarray(cell.atom_index) == atom]
        density += transform * _sum_of_waves(copies, np.ones(len(copies)), modes)[wanted]
    return indices, poisson(density / grid.volume, np.linalg.norm(indices @ grid.reciprocal, axis=1))


@lru_cache(maxsize=1)
def _transforms(
    cell: "ImagingCell", field: DensityField, grid: PeriodicGrid, memory_limit: float | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], list[npt.NDArray[np.complex128]]]:
    """Waves H, their places among the modes of a transform, its shape, and f_a of every crystal atom in electrons.

    Kept for the next configuration: it does not depend on the displacements.
    """
    check_field(field, cell.crystal)
    half = _half_shape(cell, field, grid)
    modes = 2 * half + 1
    needed = 16.0 * float(np.prod(modes)) * (12.0 + len(cell.crystal) / 2.0)
    if memory_limit is not None and needed > memory_limit:
        raise MemoryLimitError(
            f"moving deformation density: {needed / 1e9:.1f} GB of transforms, {memory_limit / 1e9:.1f} GB allowed; "
            "use deformation_phonons='averaged' or a smaller block"
        )
    indices = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in half), indexing="ij"), axis=-1).reshape(-1, 3)
    smooth = _in_band(indices, cell, field)
    sharp = np.linalg.norm(indices @ grid.reciprocal, axis=1) <= (MOVING if field.one_centre else 0.0)
    wanted = np.flatnonzero(usable(grid, indices) & (indices != 0).any(axis=1) & (smooth | sharp))
    indices, smooth, sharp = indices[wanted], smooth[wanted], sharp[wanted]
    to_imaging = np.linalg.inv(np.asarray(cell.transform, dtype=float))
    transforms = []
    for atom, (points, electrons) in enumerate(pieces(field)):
        total = np.where(smooth, _sum_of_waves(points @ to_imaging, electrons, modes)[wanted], 0.0)
        for term in field.one_centre:
            if term.atom == atom:
                total[sharp] += _sharp_piece(field, term, cell, indices[sharp])
        transforms.append(total)
    return indices, wanted, modes, transforms


def piece_factors(field: DensityField, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
    """Transforms in electrons of every atom's piece of Δn about its nucleus, at Miller indices (M, 3); shape (N, M).

    Times exp(−2πi h·f) and summed over the atoms they are Ω Δn_h of `rhotem.density.fourier.coefficients`.
    """
    half = np.abs(indices).max(axis=0, initial=0)
    modes = 2 * half + 1
    places = np.ravel_multi_index(tuple((indices + half).T), tuple(int(n) for n in modes))
    twice, shape = 2 * np.abs(indices), np.array(field.grid.shape)
    known = np.where((twice <= shape).all(axis=1), 0.5 ** (twice == shape).sum(axis=1), 0.0)
    result = np.array([_sum_of_waves(points, electrons, modes)[places] * known for points, electrons in pieces(field)])
    for term in field.one_centre:
        result[term.atom] += _about_nucleus(field.grid.cell, term, indices)
    return result


def _half_shape(cell: "ImagingCell", field: DensityField, grid: PeriodicGrid) -> npt.NDArray[np.int64]:
    """Largest H along each axis: the field's band, in the plane no more than the Nyquist line."""
    half = np.abs(np.asarray(cell.transform)) @ (np.array(field.grid.shape) // 2)
    if field.one_centre:
        half = np.maximum(half, np.floor(MOVING * np.diag(grid.cell)).astype(np.int64))
    half[:2] = np.minimum(half[:2], np.array(grid.shape[:2]) // 2)
    # Skew crystal cells have far corners in which nothing lives.
    half[2] = min(half[2], int(np.ceil(STEEPEST * grid.cell[2, 2])))
    return half


def _in_band(indices: npt.NDArray[np.int64], cell: "ImagingCell", field: DensityField) -> npt.NDArray[np.bool_]:
    """Waves H inside the box |h_i| <= n_i/2 of the field's grid, H = P h with fractional h."""
    h = indices @ np.linalg.inv(np.asarray(cell.transform, dtype=float)).T
    return np.asarray((2.0 * np.abs(h) <= np.array(field.grid.shape) + 1e-9).all(axis=1))


def _sharp_piece(
    field: DensityField, term: OneCentre, cell: "ImagingCell", indices: npt.NDArray[np.int64]
) -> npt.NDArray[np.complex128]:
    """f_a of a one-centre part in electrons: its transform about the origin of the unrotated imaging lattice."""
    return _about_nucleus(np.asarray(cell.transform, dtype=float) @ field.grid.cell, term, indices)


def _about_nucleus(
    lattice_cell: npt.NDArray[np.float64], term: OneCentre, indices: npt.NDArray[np.int64]
) -> npt.NDArray[np.complex128]:
    """Transform in electrons of a one-centre part about its nucleus at the reciprocal vectors of a lattice."""
    import ase

    from rhotem.density.one_centre import one_centre_coefficients

    lattice = PeriodicGrid(lattice_cell, (1, 1, 1))
    alone = Structure(ase.Atoms("X", positions=[[0.0, 0.0, 0.0]], cell=lattice.cell, pbc=True))
    here = (OneCentre(0, term.radii, term.values),)
    return one_centre_coefficients(alone, lattice, here, indices) * lattice.volume


def _sum_of_waves(
    fractional: npt.NDArray[np.float64], strengths: npt.NDArray, modes: npt.NDArray[np.int64]
) -> npt.NDArray[np.complex128]:
    """Σ_j c_j exp(−2πi H·f_j) for all |H_i| <= (modes_i − 1)/2, flattened."""
    if len(fractional) > DIRECT:
        import finufft

        x, y, z = (np.ascontiguousarray(2.0 * np.pi * (f - np.floor(f))) for f in fractional.T)
        shape = tuple(int(n) for n in modes)
        return np.asarray(finufft.nufft3d1(x, y, z, strengths.astype(complex), shape, eps=1e-7, isign=-1)).reshape(-1)
    total = np.zeros((int(modes[0] * modes[1]), int(modes[2])), dtype=complex)
    for start in range(0, len(fractional), 100):
        part = fractional[start : start + 100]
        e_x, e_y, e_z = (
            np.exp(-2j * np.pi * f[:, None] * (np.arange(n) - n // 2)) for f, n in zip(part.T, modes, strict=True)
        )
        plane = (e_x * strengths[start : start + 100, None])[:, :, None] * e_y[:, None, :]
        total += plane.reshape(len(part), -1).T @ e_z
    return total.reshape(-1)


@lru_cache(maxsize=1)
def pieces(field: DensityField) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Hirshfeld pieces of the grid part, one per atom.

    Returns
    -------
    list of (points, electrons)
        Fractional coordinates of grid points relative to the nucleus, shape (n, 3), and the electrons of Δn there that
        belong to this atom. Summed over all atoms and lattice vectors they are the grid part.
    """
    from rhotem.density.free_atoms import load

    table = load()
    grid, structure = field.grid, field.structure
    total = np.zeros(grid.size)
    shares = []
    for z, centre in zip(structure.numbers, structure.atoms.get_scaled_positions(wrap=False), strict=True):
        points, flat = _points_near(grid, centre)
        distance = np.linalg.norm(points @ grid.cell, axis=1)
        inside = distance < REACH
        density = table.evaluate(int(z), distance[inside])
        np.add.at(total, flat[inside], density)
        shares.append((points[inside], flat[inside], density))
    values = np.asarray(field.values, dtype=float).reshape(-1) * grid.voxel_volume
    return [(points, density / np.maximum(total[flat], 1e-30) * values[flat]) for points, flat, density in shares]


def _points_near(
    grid: PeriodicGrid, centre: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Grid points of the box around a sphere of radius REACH: fractional, relative to its centre, and flat index."""
    shape = np.array(grid.shape)
    half = REACH * np.linalg.norm(grid.reciprocal, axis=1)
    axes = [
        np.arange(np.ceil((c - d) * n), np.floor((c + d) * n) + 1) for c, d, n in zip(centre, half, shape, strict=True)
    ]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)
    flat = np.ravel_multi_index(tuple((index % shape).T), grid.shape)
    return index / shape - centre, flat
