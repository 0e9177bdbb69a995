"""Bulk structure factors of the potential: what bonding changes and by how much."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid, reflections
from rhotem.density.field import DensityField
from rhotem.potential.crystal import structure_factors
from rhotem.structure.indices import standard_cell


@dataclass(frozen=True, eq=False)
class FactorTable:
    """Fourier coefficients of the potential for free atoms and for a density, one row per reflection.

    Parameters
    ----------
    indices : (M, 3) int array
        Reflections of the crystal's own cell, one of each ±h pair, sorted by |g|.
    conventional : (M, 3) int array
        The same in the conventional standard cell.
    g : (M,) array
        |g| in 1/Å.
    free, bonded : (M,) complex arrays
        V_h in V with free atoms and with the density.
    """

    indices: npt.NDArray[np.int64]
    conventional: npt.NDArray[np.int64]
    g: npt.NDArray[np.float64]
    free: npt.NDArray[np.complex128]
    bonded: npt.NDArray[np.complex128]

    @property
    def change(self) -> npt.NDArray[np.float64]:
        """Relative change |V_h| bonded over free, minus one; NaN where free atoms give nothing."""
        free = np.abs(self.free)
        visible = free > 1e-6 * free.max()
        return np.where(visible, np.abs(self.bonded) / np.where(visible, free, 1.0) - 1.0, np.nan)


def factor_table(field: DensityField, g_max: float = 1.0) -> FactorTable:
    """Free-atom and bonded structure factors of ``field``'s crystal up to ``g_max`` in 1/Å."""
    structure = field.structure
    h = reflections(structure.cell, g_max)
    h = h[np.lexsort((-h[:, 0], np.round(np.linalg.norm(h @ np.linalg.inv(structure.cell).T, axis=1), 9)))]
    g = np.linalg.norm(h @ PeriodicGrid(structure.cell, (1, 1, 1)).reciprocal, axis=1)
    # A reflection has the same g in every cell: its index along a vector of the standard cell is g · a.
    rows = np.array([[float(x) for x in row] for row in standard_cell(structure).rows])
    conventional = np.rint(h @ rows.T).astype(np.int64)
    return FactorTable(
        h, conventional, g, structure_factors(None, structure, h), structure_factors(field, structure, h)
    )
