"""Fourier coefficients of densities: grid part by FFT, one-centre parts and free atoms by Bessel transforms."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density import free_atoms
from rhotem.density.field import DensityField
from rhotem.density.one_centre import one_centre_coefficients
from rhotem.structure.model import Structure

#: Electrons per atom that a superposition holds: all, GPAW's default valence, or a count by atomic number.
Electrons = Literal["valence"] | dict[int, float] | None


def coefficients(field: DensityField, h: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    """Fourier coefficients F_h of a density in e/Å³ (docs/conventions.md), all its parts included.

    The grid part is the band-limited function through the grid values; on the Nyquist planes of an even grid its one
    known coefficient is shared equally by +h and −h. Indices beyond get the one-centre parts only.

    Parameters
    ----------
    field : DensityField
    h : (M, 3) int array
        Miller indices of the field's cell.

    Returns
    -------
    (M,) complex array

    Raises
    ------
    InputError
        If ``h`` is not a list of integer triples.
    """
    indices = _indices(h)
    result = _grid_part(field.grid, field.values, indices)
    if field.one_centre:
        result += one_centre_coefficients(field.structure, field.grid, field.one_centre, indices)
    return result


def free_atom_coefficients(
    structure: Structure, h: npt.ArrayLike, electrons: Electrons = None
) -> npt.NDArray[np.complex128]:
    """Fourier coefficients in e/Å³ of the superposed free atoms, Σ f_x(g) exp(−2πi g·R)/Ω; exact at every h.

    Parameters
    ----------
    structure : Structure
    h : (M, 3) int array
    electrons : None, "valence" or dict
        All electrons, GPAW's default valence, or the electrons of the valence by atomic number.

    Raises
    ------
    InputError
        If ``h`` is not a list of integer triples, or an element has no such valence.
    """
    table = free_atoms.load()
    indices = _indices(h)
    g = np.linalg.norm(indices @ np.linalg.inv(structure.cell).T, axis=1)
    fractional = structure.atoms.get_scaled_positions(wrap=False)
    total: npt.NDArray[np.complex128] = np.zeros(len(indices), dtype=complex)
    for z in np.unique(structure.numbers):
        factor = table.x_ray_form_factor(int(z), g, electron_count(int(z), electrons))
        total += factor * phase_sum(indices, fractional[structure.numbers == z])
    return total / structure.volume


def electron_count(Z: int, electrons: Electrons) -> float | None:
    """Electrons of element ``Z`` under ``electrons``; None for all of them."""
    if electrons is None:
        return None
    if isinstance(electrons, dict):
        if Z not in electrons:
            raise InputError(f"electrons: no count for Z = {Z}, got {electrons}; give one for every element")
        return electrons[Z]
    if electrons == "valence":
        return float(free_atoms.load().default_valence(Z))
    raise InputError(f"electrons: got {electrons!r}, expected None, 'valence' or {{atomic number: count}}")


def _grid_part(grid: PeriodicGrid, values: npt.NDArray, h: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
    shape = np.array(grid.shape)
    inside = (2 * np.abs(h) <= shape).all(axis=1)
    result = np.zeros(len(h), dtype=complex)
    if not any(values.strides):  # one number broadcast over the grid: free atoms
        result[(h == 0).all(axis=1)] = values.flat[0]
        return result
    if not inside.any():
        return result
    known = np.fft.rfftn(values) / grid.size
    k = h[inside]
    flip = k[:, 2] < 0
    k = np.where(flip[:, None], -k, k)
    found = known[k[:, 0] % shape[0], k[:, 1] % shape[1], k[:, 2]]
    found = np.where(flip, found.conj(), found)
    result[inside] = found * 0.5 ** (2 * np.abs(k) == shape).sum(axis=1)
    return result


def phase_sum(h: npt.NDArray[np.int64], fractional: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """Σ exp(−2πi h·f) over positions, in pieces that fit into memory."""
    total = np.zeros(len(h), dtype=complex)
    step = max(1, 4_000_000 // max(1, len(h)))
    for start in range(0, len(fractional), step):
        total += np.exp(-2j * np.pi * (h @ fractional[start : start + step].T)).sum(axis=1)
    return total


def _indices(h: npt.ArrayLike) -> npt.NDArray[np.int64]:
    indices = np.atleast_2d(np.asarray(h))
    whole = np.rint(indices).astype(np.int64)
    if indices.ndim != 2 or indices.shape[1] != 3 or not np.array_equal(whole, indices):
        raise InputError(f"Miller indices: got shape {np.shape(h)}, expected integer triples (M, 3)")
    return whole
