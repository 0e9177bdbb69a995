"""What training makes small: the deformation error of drawn voxels and the error of the potential."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from rhotem.density.harmonics import real_harmonics
from rhotem.labels.label import Label
from rhotem.labels.waves import plane_indices
from rhotem.learned.radial import Block


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
    known = label.has_coefficients
    reference = label.coefficients(h) if known else label.estimated_coefficients(h, label.treated)
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


def voxel_error(predicted: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, scale: float) -> torch.Tensor:
    """Estimate of Σ|Δn̂ − Δn|/Σ|Δn| from drawn voxels."""
    return ((predicted - target).abs() * weight).mean() / scale


def potential_error(coefficients: tuple[torch.Tensor, ...], target: PotentialTarget) -> torch.Tensor:
    """Estimate of the potential error ratio from analytic coefficients."""
    total = transformed(coefficients, target)
    return ((total - target.values).square().sum(0) * target.weight).sum().add(1e-8).sqrt()


def sharpened(
    target: PotentialTarget, label: Label, coefficients: tuple[torch.Tensor, ...], predicted: npt.NDArray
) -> PotentialTarget:
    """A target estimated from chosen voxels, the noise of which is that of what a model leaves over.

    The transform of what the model predicts (``coefficients`` of its functions) is exact; only the rest, label minus
    ``predicted`` (n,) at the voxels in e/Å³, is estimated: the difference estimator, without bias for any model.
    """
    drawn = label.estimated_coefficients(plane_indices(label.grid), predicted.astype(float))
    values = target.values + transformed(coefficients, target)
    values = values - torch.from_numpy(np.stack([drawn.real, drawn.imag])).to(values)
    return replace(target, values=values).to("cpu")


def transformed(coefficients: tuple[torch.Tensor, ...], target: PotentialTarget) -> torch.Tensor:
    """Fourier coefficients (2, M), real and imaginary part, of what analytic coefficients of atoms stand for."""
    flat = torch.cat([c.flatten(1) for c in coefficients], dim=1)
    real, imaginary = flat[:, target.even] @ target.real, flat[:, target.odd] @ target.imaginary
    return torch.stack(
        [
            (real * target.cosine - imaginary * target.sine).sum(0),
            (real * target.sine + imaginary * target.cosine).sum(0),
        ]
    )
