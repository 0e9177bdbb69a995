"""Coefficients of atoms into values on a periodic grid, atom by atom: memory does not grow with the structure."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid, Progress, silent
from rhotem.density.superpose import near_points
from rhotem.learned.couplings import solid_harmonics
from rhotem.learned.kernels.grid import LMAX, BlockOnGrid, add_block
from rhotem.learned.radial import Block

STAGE = "density on the grid"

Array = npt.NDArray[np.float64]


def on_grid(
    blocks: Sequence[Block],
    coefficients: Sequence[npt.NDArray],
    positions: Array,
    grid: PeriodicGrid,
    progress: Progress = silent,
) -> Array:
    """Δn of blocks of functions at the points of ``grid`` in e/Å³, in double precision."""
    total = np.zeros(grid.shape)
    for step, (block, c) in enumerate(zip(blocks, coefficients, strict=True)):
        add(total, block, grid, positions, np.asarray(c, dtype=float))
        progress(STAGE, step + 1, len(blocks))
    return total


def counted_on_grid(
    block: Block, coefficients: npt.NDArray, positions: Array, grid: PeriodicGrid, progress: Progress = silent
) -> tuple[Array, float]:
    """A block on a grid whose sum is the exact electron count, and Σ|electrons moved| for that.

    What the samples of an atom's functions miss goes to its own widest function, a smooth local weight: the result
    does not depend on what other atoms there are, and nothing is scaled.
    """
    total = np.zeros(grid.shape)
    c = np.asarray(coefficients, dtype=float)
    sums = add(total, block, grid, positions, c) * grid.voxel_volume
    progress(STAGE, 1, 2)
    widest, correction, moved = count_correction(block, c, sums)
    add_block(total, 0, BlockOnGrid(widest, grid, positions), correction)
    progress(STAGE, 2, 2)
    return total, moved


def add(total: Array, block: Block, grid: PeriodicGrid, positions: Array, coefficients: Array) -> Array:
    """Add a block of all atoms to ``total``; sums (N, 2) over the grid of every atom's density and of its widest G."""
    if block.lmax <= LMAX:
        return add_block(total, 0, BlockOnGrid(block, grid, positions), coefficients)
    return add_plainly(total, block, grid, positions, coefficients)


def add_plainly(total: Array, block: Block, grid: PeriodicGrid, positions: Array, coefficients: Array) -> Array:
    """The same for any angular momentum, without compiled loops."""
    sums = np.zeros((len(positions), 2))
    flat, (_, n2, n3) = total.reshape(-1), grid.shape
    for atom, (centre, c) in enumerate(zip(positions, coefficients, strict=True)):
        points, offsets = near_points(grid, centre, block.cutoff)
        radial = block.radial(np.linalg.norm(offsets, axis=1)).T
        values = ((radial @ c) * solid_harmonics(offsets, block.lmax)).sum(1)
        np.add.at(flat, (points[:, 0] * n2 + points[:, 1]) * n3 + points[:, 2], values)
        sums[atom] = values.sum(), radial[:, -1].sum()
    return sums


def count_correction(
    block: Block, coefficients: npt.NDArray[np.float64], sampled: npt.NDArray[np.float64]
) -> tuple[Block, npt.NDArray[np.float64], float]:
    """What makes grid sums exact: the widest function alone as a block, its coefficients, and Σ|electrons moved|.

    Parameters
    ----------
    block : Block
    coefficients : (N, functions, (lmax+1)²) array
    sampled : (N, 2) array
        Grid integrals of every atom's density and of its widest function G (`rhotem.learned.kernels.grid.add_block`).
    """
    missing = coefficients[:, :, 0] @ block.electrons - sampled[:, 0]
    seen = sampled[:, 1] > 0.0  # else the grid is too coarse to see the atom
    missing = np.where(seen, missing, 0.0)
    factor = missing / np.where(seen, sampled[:, 1], 1.0) * math.sqrt(4.0 * math.pi)
    widest = Block(block.sigma[-1], block.sigma[-1], 1, 0, block.cutoff)
    return widest, factor[:, None, None], float(np.abs(missing).sum())
