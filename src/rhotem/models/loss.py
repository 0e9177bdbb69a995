"""What training makes small: the deformation error of drawn voxels and the error of the potential."""

from dataclasses import dataclass

import numpy as np
import torch

from rhotem.core import PeriodicGrid
from rhotem.density.metrics import G_MAX
from rhotem.models.dataset import Label
from rhotem.models.radial import Block
from rhotem.models.readouts.fourier import FourierTables, fourier, make_tables


@dataclass(frozen=True, eq=False)
class PotentialTarget:
    """Reference coefficients (M,) with weights 1/g⁴, scaled so that the weighted sum of squares is 1."""

    tables: FourierTables
    values: torch.Tensor
    weight: torch.Tensor

    def to(self, device: torch.device | str) -> "PotentialTarget":
        """The same on a device."""
        return PotentialTarget(self.tables.to(device), self.values.to(device), self.weight.to(device))


def potential_target(label: Label, blocks: tuple[Block, ...]) -> PotentialTarget:
    """The coefficients that `rhotem.density.metrics.potential_error_ratio` compares, every ±g once."""
    h = plane_indices(label.grid)
    reference = np.fft.fftn(label.deformation)[tuple(h.T % np.array(label.grid.shape)[:, None])] / label.grid.size
    g = h @ label.grid.reciprocal
    weight = 1.0 / (g**2).sum(1) ** 2
    weight /= (weight * np.abs(reference) ** 2).sum() + 1e-30
    tables = make_tables(blocks, g, label.structure.positions, label.grid.volume)
    return PotentialTarget(
        tables, torch.from_numpy(reference).to(torch.complex64), torch.from_numpy(weight).to(torch.float32)
    )


def plane_indices(grid: PeriodicGrid) -> np.ndarray:
    """Miller indices (M, 3) with 0 < |g| < 2/Å in the planes g·a_i = 0, one of every pair ±g."""
    reach = [int(np.ceil(G_MAX * np.linalg.norm(a))) for a in grid.cell]
    reach = [min(r, (n - 1) // 2) for r, n in zip(reach, grid.shape, strict=True)]
    found = []
    for axis in range(3):
        axes = [np.arange(-r, r + 1) if i != axis else np.zeros(1, dtype=int) for i, r in enumerate(reach)]
        found.append(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3))
    h = np.unique(np.concatenate(found), axis=0)
    first = np.where(h[:, 0] != 0, h[:, 0], np.where(h[:, 1] != 0, h[:, 1], h[:, 2]))
    length = np.linalg.norm(h @ grid.reciprocal, axis=1)
    return h[(first > 0) & (length < G_MAX)]


def voxel_error(predicted: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, scale: float) -> torch.Tensor:
    """Estimate of Σ|Δn̂ − Δn|/Σ|Δn| from drawn voxels."""
    return ((predicted - target).abs() * weight).mean() / scale


def potential_error(coefficients: tuple[torch.Tensor, ...], target: PotentialTarget) -> torch.Tensor:
    """Estimate of the potential error ratio from analytic coefficients."""
    difference = fourier(coefficients, target.tables) - target.values
    return ((difference.real**2 + difference.imag**2) * target.weight).sum().add(1e-8).sqrt()
