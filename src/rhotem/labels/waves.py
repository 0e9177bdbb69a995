"""Fourier coefficients of a label that the error of the potential needs, kept where its grid is not."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.metrics import G_MAX

#: Largest |g| in 1/Å of the coefficients that are kept in all directions, beside the three planes up to `G_MAX`.
SHELLS = 0.5
#: |g| in 1/Å by which sets of coefficients reach further than asked, so that rounding never leaves one out.
MARGIN = 1e-6


@dataclass(frozen=True, eq=False)
class Waves:
    """Coefficients of Δn.

    Parameters
    ----------
    indices : (M, 3) int array
        Miller indices, one of every pair ±g.
    values : (M,) complex array
        (1/Ω) ∫ Δn exp(−2πi g·r) dr in e/Å³.
    """

    indices: npt.NDArray[np.int64]
    values: npt.NDArray[np.complex128]

    @cached_property
    def _rows(self) -> dict[tuple[int, ...], int]:
        return {tuple(h): row for row, h in enumerate(self.indices.tolist())}

    def at(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
        """Coefficients (M,) at Miller indices (M, 3).

        Raises
        ------
        InputError
            If one of them is not kept.
        """
        rows, turned = np.zeros(len(indices), dtype=int), np.zeros(len(indices), dtype=bool)
        for place, (h, k, l) in enumerate(np.asarray(indices).tolist()):
            row = self._rows.get((h, k, l))
            if row is None:
                turned[place], row = True, self._rows.get((-h, -k, -l))
            if row is None:
                raise InputError(f"Fourier coefficient {h} {k} {l} of a label is not kept; take a label with its grid")
            rows[place] = row
        values = self.values[rows]
        return np.where(turned, values.conj(), values)


def plane_indices(grid: PeriodicGrid, g_max: float = G_MAX) -> npt.NDArray[np.int64]:
    """Miller indices (M, 3) with 0 < |g| < ``g_max`` in the planes g·a_i = 0, one of every pair ±g."""
    reach = _reach(grid, g_max)
    boxes = [[range(-r, r + 1) if i != axis else range(1) for i, r in enumerate(reach)] for axis in range(3)]
    return _half(np.concatenate([_box(box) for box in boxes]), grid, g_max)


def kept_indices(grid: PeriodicGrid) -> npt.NDArray[np.int64]:
    """Miller indices of the coefficients that are kept: the three planes, and all directions up to `SHELLS`."""
    reach = _reach(grid, SHELLS + MARGIN)
    ball = _half(_box([range(-r, r + 1) for r in reach]), grid, SHELLS + MARGIN)
    return np.unique(np.concatenate([plane_indices(grid, G_MAX + MARGIN), ball]), axis=0)


def _reach(grid: PeriodicGrid, g_max: float) -> list[int]:
    """Largest index along every axis, and none beyond the grid's own."""
    reach = [int(np.ceil(g_max * np.linalg.norm(a))) for a in grid.cell]
    return [min(r, (n - 1) // 2) for r, n in zip(reach, grid.shape, strict=True)]


def _box(axes: list[range]) -> npt.NDArray[np.int64]:
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)


def _half(h: npt.NDArray[np.int64], grid: PeriodicGrid, g_max: float) -> npt.NDArray[np.int64]:
    """One of every pair ±g with 0 < |g| < ``g_max``, sorted, none twice."""
    h = np.unique(h, axis=0)
    first = np.where(h[:, 0] != 0, h[:, 0], np.where(h[:, 1] != 0, h[:, 1], h[:, 2]))
    length = np.linalg.norm(h @ grid.reciprocal, axis=1)
    return h[(first > 0) & (length < g_max)]
