"""Coefficients of atoms into values on a periodic grid, atom by atom: memory does not grow with the structure.

On a CPU by the compiled kernel of `rhotem.models.fast.grid`; elsewhere, and as its reference, in plain PyTorch.
"""

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import PeriodicGrid, Progress, silent
from rhotem.density.superpose import near_points
from rhotem.models.fast.grid import LMAX, BlockOnGrid, add_block
from rhotem.models.gated_field import gated_values
from rhotem.models.model import DensityModel
from rhotem.models.peers.field import peer_values
from rhotem.models.radial import Block
from rhotem.models.tensor import solid_harmonics

Kernel = Literal["auto", "plain"]
STAGE = "density on the grid"


def on_grid(
    model: DensityModel,
    coefficients: tuple[torch.Tensor, ...],
    positions: npt.NDArray[np.float64],
    grid: PeriodicGrid,
    blocks: tuple[int, ...] = (0, 1),
    progress: Progress = silent,
    kernel: Kernel = "auto",
) -> npt.NDArray[np.float64]:
    """Δn at the points of ``grid`` in e/Å³, of the given blocks of the readout.

    ``kernel="plain"`` computes in PyTorch and the precision of the coefficients; the compiled kernel in double. A
    readout that is not linear has no blocks: everything, with its electron count.
    """
    if not model.readout.linear:
        values = gated_values if model.settings.peer is None else peer_values
        return values(model, coefficients, positions, grid, progress)
    if kernel == "plain" or not _compiled(model, coefficients):
        return _plain(model, coefficients, positions, grid, blocks, progress)[0]
    total = np.zeros(grid.shape)
    for step, index in enumerate(blocks):
        functions = BlockOnGrid(model.readout.blocks[index], grid, positions)
        add_block(total, 0, functions, coefficients[index].double().numpy())
        progress(STAGE, step + 1, len(blocks))
    return total


def counted_on_grid(
    model: DensityModel,
    coefficients: tuple[torch.Tensor, ...],
    positions: npt.NDArray[np.float64],
    grid: PeriodicGrid,
    progress: Progress = silent,
    kernel: Kernel = "auto",
) -> tuple[npt.NDArray[np.float64], float]:
    """The wide block on a grid whose sum is the exact electron count, and Σ|electrons moved| for that.

    What the samples of an atom's functions miss goes to its own widest function, a smooth local weight: the result
    does not depend on what other atoms there are, and nothing is scaled.
    """
    if kernel == "plain" or not _compiled(model, coefficients):
        return _plain(model, coefficients, positions, grid, (1,), progress, counted=True)
    total = np.zeros(grid.shape)
    block, c = model.readout.blocks[1], coefficients[1].double().numpy()
    sums = add_block(total, 0, BlockOnGrid(block, grid, positions), c) * grid.voxel_volume
    progress(STAGE, 1, 2)
    widest, correction, moved = count_correction(block, c, sums)
    add_block(total, 0, BlockOnGrid(widest, grid, positions), correction)
    progress(STAGE, 2, 2)
    return total, moved


def count_correction(
    block: Block, coefficients: npt.NDArray[np.float64], sampled: npt.NDArray[np.float64]
) -> tuple[Block, npt.NDArray[np.float64], float]:
    """What makes grid sums exact: the widest function alone as a block, its coefficients, and Σ|electrons moved|.

    Parameters
    ----------
    block : Block
    coefficients : (N, functions, (lmax+1)²) array
    sampled : (N, 2) array
        Grid integrals of every atom's density and of its widest function G (`rhotem.models.fast.grid.add_block`).
    """
    missing = coefficients[:, :, 0] @ block.electrons - sampled[:, 0]
    seen = sampled[:, 1] > 0.0  # else the grid is too coarse to see the atom
    missing = np.where(seen, missing, 0.0)
    factor = missing / np.where(seen, sampled[:, 1], 1.0) * math.sqrt(4.0 * math.pi)
    widest = Block(block.sigma[-1], block.sigma[-1], 1, 0, block.cutoff)
    return widest, factor[:, None, None], float(np.abs(missing).sum())


def _compiled(model: DensityModel, coefficients: tuple[torch.Tensor, ...]) -> bool:
    return coefficients[0].device.type == "cpu" and all(b.lmax <= LMAX for b in model.readout.blocks)


def _plain(
    model: DensityModel,
    coefficients: tuple[torch.Tensor, ...],
    positions: npt.NDArray[np.float64],
    grid: PeriodicGrid,
    blocks: tuple[int, ...],
    progress: Progress,
    counted: bool = False,
) -> tuple[npt.NDArray[np.float64], float]:
    device, dtype = coefficients[0].device, coefficients[0].dtype
    total = torch.zeros(grid.size, dtype=torch.float64, device=device)
    reach = max(model.readout.blocks[index].cutoff for index in blocks)
    _, n2, n3 = grid.shape
    moved = 0.0
    with torch.no_grad():
        for atom, centre in enumerate(positions):
            points, offsets = near_points(grid, centre, reach)
            where = torch.from_numpy((points[:, 0] * n2 + points[:, 1]) * n3 + points[:, 2]).to(device)
            vectors = torch.from_numpy(offsets).to(device, dtype)
            r_squared = (vectors**2).sum(-1)
            for index in blocks:
                block, c = model.readout.blocks[index], coefficients[index][atom]
                near = r_squared < block.cutoff**2
                inside = slice(None) if block.cutoff == reach else near
                gaussians = block.gaussians(r_squared[inside])
                values = ((gaussians @ c) * solid_harmonics(vectors[inside], block.lmax)).sum(-1).double()
                if counted:
                    weight = gaussians[:, -1].double()
                    missing = float(c[:, 0] @ c.new_tensor(block.electrons)) - float(values.sum()) * grid.voxel_volume
                    sampled = float(weight.sum()) * grid.voxel_volume
                    if sampled > 0.0:  # else the grid is too coarse to see the atom
                        values += weight * (missing / sampled)
                        moved += abs(missing)
                total.index_add_(0, where[inside], values)
            progress(STAGE, atom + 1, len(positions))
    return total.reshape(grid.shape).cpu().numpy(), moved
