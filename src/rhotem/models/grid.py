"""Coefficients of atoms into values on a periodic grid, atom by atom: memory does not grow with the structure."""

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import PeriodicGrid, Progress, silent
from rhotem.density.superpose import near_points
from rhotem.models.model import DensityModel
from rhotem.models.tensor import solid_harmonics


def on_grid(
    model: DensityModel,
    coefficients: tuple[torch.Tensor, ...],
    positions: npt.NDArray[np.float64],
    grid: PeriodicGrid,
    blocks: tuple[int, ...] = (0, 1),
    progress: Progress = silent,
) -> npt.NDArray[np.float64]:
    """Δn at the points of ``grid`` in e/Å³, of the given blocks of the readout."""
    return _sum(model, coefficients, positions, grid, blocks, progress)[0]


def counted_on_grid(
    model: DensityModel,
    coefficients: tuple[torch.Tensor, ...],
    positions: npt.NDArray[np.float64],
    grid: PeriodicGrid,
    progress: Progress = silent,
) -> tuple[npt.NDArray[np.float64], float]:
    """The wide block on a grid whose sum is the exact electron count, and Σ|electrons moved| for that.

    What the samples of an atom's functions miss goes to its own widest function, a smooth local weight: the result
    does not depend on what other atoms there are, and nothing is scaled.
    """
    return _sum(model, coefficients, positions, grid, (1,), progress, counted=True)


def _sum(
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
            progress("density on the grid", atom + 1, len(positions))
    return total.reshape(grid.shape).cpu().numpy(), moved
