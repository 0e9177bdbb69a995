"""What training makes small: the deformation error of drawn voxels and the error of the potential."""

from dataclasses import dataclass

import numpy as np
import torch

from rhotem.core import PeriodicGrid
from rhotem.density.harmonics import real_harmonics
from rhotem.density.metrics import G_MAX
from rhotem.learned.radial import Block
from rhotem.training.dataset import Label


@dataclass(frozen=True, eq=False)
class PotentialTarget:
    """What `rhotem.density.metrics.potential_error_ratio` compares, as real matrices.

    A function of even l has a real transform about its atom, one of odd l an imaginary one.

    Parameters
    ----------
    even, odd : (rows,) int tensors
        Columns of the coefficients of an atom, all blocks in a row, that belong to even and odd l.
    real, imaginary : (rows, M) tensors
        Their transforms at M reciprocal vectors.
    cosine, sine : (N, M) tensors
        exp(−2πi g·R)/Ω of every atom, real and imaginary part.
    values : (2, M) tensor
        Reference coefficients, real and imaginary part.
    weight : (M,) tensor
        1/g⁴, scaled so that the weighted sum of squares of the reference is 1.
    """

    even: torch.Tensor
    odd: torch.Tensor
    real: torch.Tensor
    imaginary: torch.Tensor
    cosine: torch.Tensor
    sine: torch.Tensor
    values: torch.Tensor
    weight: torch.Tensor

    def to(self, device: torch.device | str) -> "PotentialTarget":
        """The same on a device."""
        return PotentialTarget(**{name: tensor.to(device) for name, tensor in self.__dict__.items()})


def potential_target(label: Label, blocks: tuple[Block, ...]) -> PotentialTarget:
    """The coefficients that the potential error compares, every ±g once."""
    h = plane_indices(label.grid)
    reference = np.fft.fftn(label.deformation)[tuple(h.T % np.array(label.grid.shape)[:, None])] / label.grid.size
    g = h @ label.grid.reciprocal
    weight = 1.0 / (g**2).sum(1) ** 2
    weight /= (weight * np.abs(reference) ** 2).sum() + 1e-30
    rows, degree = [], []
    unique, inverse = np.unique(np.round(np.linalg.norm(g, axis=1), 9), return_inverse=True)
    for block in blocks:
        angular = real_harmonics(g, block.lmax)
        radial = [block.transform(unique, l)[:, inverse] for l in range(block.lmax + 1)]
        l_of = np.array([l for l in range(block.lmax + 1) for _ in range(2 * l + 1)])
        rows.append(np.stack([radial[l] * angular[:, lm] for lm, l in enumerate(l_of)], axis=1).reshape(-1, len(g)))
        degree.append(np.tile(l_of, block.functions))
    matrix, l_of = np.concatenate(rows), np.concatenate(degree)
    # (−i)^l: 1, −i, −1, i, 1 for l = 0, 1, 2, 3, 4
    matrix *= np.array([1.0, -1.0, -1.0, 1.0])[l_of % 4][:, None]
    phase = np.exp(-2j * np.pi * (label.structure.positions @ g.T)) / label.grid.volume
    even, odd = np.flatnonzero(l_of % 2 == 0), np.flatnonzero(l_of % 2)
    single = [matrix[even], matrix[odd], phase.real, phase.imag, np.stack([reference.real, reference.imag]), weight]
    tensors = [torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in single]
    return PotentialTarget(torch.from_numpy(even), torch.from_numpy(odd), *tensors)


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
    flat = torch.cat([c.flatten(1) for c in coefficients], dim=1)
    real, imaginary = flat[:, target.even] @ target.real, flat[:, target.odd] @ target.imaginary
    total = torch.stack(
        [
            (real * target.cosine - imaginary * target.sine).sum(0),
            (real * target.sine + imaginary * target.cosine).sum(0),
        ]
    )
    return ((total - target.values).square().sum(0) * target.weight).sum().add(1e-8).sqrt()
