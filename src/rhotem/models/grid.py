"""Coefficients of atoms into values on a periodic grid, atom by atom: memory does not grow with the structure."""

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import PeriodicGrid, Progress, silent
from rhotem.density.superpose import near_points
from rhotem.models.model import DensityModel

#: Points around an atom handled at once.
CHUNK = 200_000


def on_grid(
    model: DensityModel,
    coefficients: tuple[torch.Tensor, ...],
    positions: npt.NDArray[np.float64],
    grid: PeriodicGrid,
    blocks: tuple[int, ...] = (0, 1),
    progress: Progress = silent,
) -> npt.NDArray[np.float64]:
    """Δn at the points of ``grid`` in e/Å³, of the given blocks of the readout."""
    device, dtype = coefficients[0].device, coefficients[0].dtype
    total = torch.zeros(grid.size, dtype=torch.float64, device=device)
    _, n2, n3 = grid.shape
    with torch.no_grad():
        for atom, centre in enumerate(positions):
            for index in blocks:
                points, vectors = near_points(grid, centre, model.readout.blocks[index].cutoff)
                flat = (points[:, 0] * n2 + points[:, 1]) * n3 + points[:, 2]
                for start in range(0, len(flat), CHUNK):
                    piece = slice(start, start + CHUNK)
                    where = torch.from_numpy(vectors[piece]).to(device, dtype)
                    values = model.readout.block_density(index, coefficients[index][atom], where)
                    total.index_add_(0, torch.from_numpy(flat[piece]).to(device), values.double())
            progress("density on the grid", atom + 1, len(positions))
    return total.reshape(grid.shape).cpu().numpy()
