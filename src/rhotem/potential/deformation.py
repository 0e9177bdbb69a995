"""Slices of the potential of the deformation density: Poisson on the crystal's own Fourier coefficients.

    V_h = −e Δn_h / (ε0 (2π g_h)²),  h ≠ 0

The imaging cell is P times the crystal cell, so crystal coefficient h is imaging coefficient H = P h: an index map,
nothing is interpolated. A slice [z_s, z_s + Δz) of the wave H_z integrates to Δz sinc(H_z/S) exp(2πi H_z (s + ½)/S).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.core.units import EPS0
from rhotem.density.field import DensityField
from rhotem.potential.plane_waves import HalfPlane
from rhotem.structure.model import Structure

if TYPE_CHECKING:
    from rhotem.structure.orient import ImagingCell

#: One-centre parts are carried to this |g| in 1/Å at most; there V[Δn] is far below 1e-3 of the free atoms'.
SHARPEST = 8.0


def poisson(density: npt.NDArray, g: npt.NDArray[np.float64]) -> npt.NDArray:
    """Potential coefficients in V of electron-density coefficients in e/Å³; zero at g = 0 (docs/conventions.md).

    A cell with a net charge is thereby compensated by a uniform background.
    """
    g2 = np.asarray(g, dtype=float) ** 2
    inverse = np.zeros_like(g2)
    np.divide(1.0, 4.0 * np.pi**2 * EPS0 * g2, out=inverse, where=g2 > 0)
    return -np.asarray(density) * inverse


def crystal_shift(cell: "ImagingCell") -> npt.NDArray[np.float64]:
    """Vector in Å by which the imaging cell's atoms are displaced from the crystal's lattice, same for all.

    Raises
    ------
    InputError
        If the imaging cell is not the crystal's images, as after atoms were moved or replaced in it.
    """
    crystal, structure = cell.crystal, cell.structure
    index = np.asarray(cell.atom_index)
    if not np.allclose(structure.cell, np.asarray(cell.transform) @ crystal.cell, rtol=0, atol=1e-6):
        raise InputError("imaging cell: its lattice is not transform @ crystal's; orient the crystal again")
    difference = structure.positions - crystal.positions[index]
    offset = (difference - difference[0]) @ np.linalg.inv(crystal.cell)
    if np.abs(offset - np.rint(offset)).max() > 1e-5 or (structure.numbers != crystal.numbers[index]).any():
        raise InputError(
            "imaging cell: its atoms are not the crystal's repeated, so the deformation density cannot be repeated "
            "with them; give moved atoms as `displacements`"
        )
    return difference[0]


def check_field(field: DensityField, crystal: Structure) -> None:
    """Refuse a field that is not the deformation density of this crystal, rotated or strained as it may be.

    Raises
    ------
    InputError
        If the kind is not "deformation" or elements and fractional coordinates differ.
    """
    if field.kind != "deformation":
        raise InputError(f"density of kind {field.kind!r}: the potential needs 'deformation'; convert it first")
    same = len(field.structure) == len(crystal) and (field.structure.numbers == crystal.numbers).all()
    if same:
        shift = field.structure.atoms.get_scaled_positions(wrap=False) - crystal.atoms.get_scaled_positions(wrap=False)
        same = np.abs(shift - np.rint(shift)).max() < 1e-4
    if not same:
        raise InputError("density: its atoms are not those of the crystal (elements or fractional coordinates differ)")


def band(field: DensityField, cell: npt.NDArray[np.float64], g_max: float) -> npt.NDArray[np.int64]:
    """Integer indices (M, 3) of the coefficients ``field`` has in ``cell``, |g| <= ``g_max``, without h = 0."""
    half = np.array(field.grid.shape) // 2
    sharp = min(g_max, SHARPEST) if field.one_centre else 0.0
    half = np.maximum(half, np.floor(sharp * np.linalg.norm(cell, axis=1)).astype(int))
    axes = [np.arange(-n, n + 1) for n in half]
    h = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    g = np.linalg.norm(h @ np.linalg.inv(cell).T, axis=1)
    smooth = (2 * np.abs(h) <= field.grid.shape).all(1)
    return h[(g > 0) & (g <= g_max) & (smooth | (g <= sharp))]


@lru_cache(maxsize=2)
def deformation_coefficients(
    cell: "ImagingCell",
    field: DensityField,
    g_max: float,
    damping: float = 0.0,
    within: PeriodicGrid | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.complex128]]:
    """V[Δn]_H in V on the imaging cell: indices H (M, 3) and coefficients.

    Parameters
    ----------
    cell : ImagingCell
        Its crystal may be rotated and slightly strained against ``field.structure``: fractional coordinates carry
        over, and the density is scaled by V_old/V_new so that the electron count stays.
    field : DensityField
    g_max : float
        Largest |g| in 1/Å of interest.
    damping : float
        Mean square displacement ⟨u²⟩ in Å² of a Debye–Waller factor exp(−2π²g²⟨u²⟩); 0 for none.
    within : PeriodicGrid or None
        Leave out what `wave_slices` of this grid would not use.

    Notes
    -----
    The last two results are kept: frozen-phonon configurations share them.
    """
    from rhotem.density.fourier import coefficients

    check_field(field, cell.crystal)
    crystal = cell.crystal
    h = band(field, crystal.cell, g_max)
    if within is not None:
        h = h[usable(within, h @ np.asarray(cell.transform).T)]
    g = h @ np.linalg.inv(crystal.cell).T
    g2 = (g**2).sum(1)
    density = coefficients(field, h) * (field.grid.volume / crystal.volume)
    potential = poisson(density, np.sqrt(g2)) * np.exp(-2.0 * np.pi**2 * g2 * damping)
    potential *= np.exp(-2j * np.pi * (g @ crystal_shift(cell)))
    return h @ np.asarray(cell.transform).T, potential


def usable(grid: PeriodicGrid, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which waves H a real slice on ``grid`` needs: up to the Nyquist lines, and one of each pair ±H_y."""
    n_x, n_y, _ = grid.shape
    h_x, h_y, _ = indices.T
    return (2 * np.abs(h_x) <= n_x) & (2 * np.abs(h_y) <= n_y) & ((h_y >= 0) | (2 * h_y == -n_y))


def wave_slices(
    grid: PeriodicGrid, indices: npt.NDArray[np.int64], potential: npt.NDArray[np.complex128]
) -> Callable[[range, npt.NDArray], None]:
    """Slices of a sum of plane waves.

    Parameters
    ----------
    grid : PeriodicGrid
        Orthogonal imaging cell, shape (n_x, n_y, S).
    indices : (M, 3) int array
        H of every wave; of each pair ±H those that `usable` selects are enough.
    potential : (M,) complex array
        Coefficients in V.

    Returns
    -------
    callable
        ``add(range(s0, s1), out)`` adds the integrated slices in V·Å to ``out``, layout of `HalfPlane`.
    """
    n_x, n_y, slices = grid.shape
    plane = HalfPlane(grid)
    thickness = grid.cell[2, 2] / slices
    h_x, h_y, h_z = indices.T
    # Waves with H_y < 0 are the conjugates of kept ones; on the Nyquist lines ±n/2 fold onto one entry by halves.
    keep = usable(grid, indices)
    h_x, h_y, h_z, potential = h_x[keep], h_y[keep], h_z[keep], potential[keep]
    share = np.where(2 * np.abs(h_x) == n_x, 0.5, 1.0) * np.where(2 * np.abs(h_y) == n_y, 0.5, 1.0)
    rows = np.where(2 * h_x == n_x, 0, h_x + plane.centre)
    column, inverse = np.unique(rows * plane.shape[1] + np.abs(h_y), return_inverse=True)
    along = potential * share * thickness * np.sinc(h_z / slices) * np.exp(1j * np.pi * h_z / slices)
    table = np.zeros((len(column), slices), dtype=complex)
    np.add.at(table, (inverse, h_z % slices), along)
    table = np.fft.ifft(table, axis=1, norm="forward")

    def add(wanted: range, out: npt.NDArray) -> None:
        flat = out.reshape(len(wanted), -1)
        flat[:, column] += table[:, wanted.start : wanted.stop].T.astype(out.dtype)

    return add
