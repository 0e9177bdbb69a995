"""Deformation density, and the potential that it makes, projected along the beam on a grid of the imaging cell."""

import numpy as np
import numpy.typing as npt

from rhotem.analysis.specimen import Specimen
from rhotem.density.field import DensityField
from rhotem.density.fourier import coefficients
from rhotem.potential.deformation import crystal_shift, poisson

Floats = npt.NDArray[np.float64]

#: Largest |g| in 1/Å that a picture shows, and its pixel in Å.
G_MAX, PIXEL = 2.5, 0.15


def projected_deformation(cut: Specimen, field: DensityField) -> Floats:
    """∫ Δn dz over one imaging cell in e/Å², (nx, ny), axes as images; band-limited at 2.5 1/Å."""
    values, _ = _across(cut, field, G_MAX, PIXEL)
    return np.asarray(np.fft.ifft2(values, norm="forward").real * cut.cell.lengths[2])


def projected_potential(cut: Specimen, field: DensityField, g_max: float, pixel: float) -> Floats:
    """The potential of Δn in V, its mean along the beam, (nx, ny), axes as images; its mean over the cell is zero."""
    values, g = _across(cut, field, g_max, pixel)
    return np.asarray(np.fft.ifft2(poisson(values, g), norm="forward").real)


def _across(cut: Specimen, field: DensityField, g_max: float, pixel: float) -> tuple[npt.NDArray, Floats]:
    """Coefficients (nx, ny) in e/Å³ of the waves across the beam, and their |g| in 1/Å."""
    cell = cut.cell
    nx, ny = (2 * int(np.ceil(0.5 * length / pixel)) + 1 for length in cell.lengths[:2])
    i, j = (np.arange(-(n // 2), n // 2 + 1) for n in (nx, ny))
    waves = np.stack(np.meshgrid(i, j, [0], indexing="ij"), axis=-1).reshape(-1, 3)
    g = waves / cell.lengths
    h = waves @ np.linalg.inv(np.asarray(cell.transform, dtype=float)).T
    # the crystal has no waves between those of its own reciprocal lattice
    kept = (np.abs(h - np.rint(h)).max(axis=1) < 1e-6) & (np.linalg.norm(g, axis=1) <= g_max)
    values = coefficients(field, np.rint(h[kept]).astype(np.int64)) * (field.grid.volume / cell.crystal.volume)
    values = values * np.exp(-2j * np.pi * (g[kept] @ crystal_shift(cell)))
    table, lengths = np.zeros((nx, ny), dtype=complex), np.zeros((nx, ny))
    place = waves[kept, 0] % nx, waves[kept, 1] % ny
    table[place], lengths[place] = values, np.linalg.norm(g[kept], axis=1)
    return table, lengths
