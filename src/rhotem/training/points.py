"""The spherical readout at single points, compiled, with the gradient of its coefficients: what training needs.

Pairs of points and atoms are never stored: the kernels go over the images near the cell twice, forth and back.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core.compiled import compiled
from rhotem.learned.kernels.harmonics import LMAX, solid
from rhotem.learned.radial import Block

#: Gaussians below exp(−this) = 4e-9 are left out.
NEGLIGIBLE = 19.4

Array = npt.NDArray[np.float32]


def at_points(
    coefficients: tuple[torch.Tensor, ...],
    blocks: tuple[Block, ...],
    points: Array,
    images: Array,
    owner: npt.NDArray[np.int64],
) -> torch.Tensor:
    """Δn at points of one structure, (P,) in e/Å³, as `Spherical.at_points` gives it; differentiable in coefficients.

    Parameters
    ----------
    coefficients : tensors (N, functions, (lmax+1)²), float32 on the CPU
        One per block.
    blocks : tuple of Block
    points : (P, 3) array
        Å.
    images, owner : (I, 3) and (I,) arrays
        Atoms with their periodic images in reach of the points, Å, and which atom each is.
    """
    total = None
    for block, c in zip(blocks, coefficients, strict=True):
        if block.lmax > LMAX:
            raise ValueError(f"compiled readout: l = {block.lmax}, knows up to {LMAX}")
        exponents = (0.5 / block.sigma**2).astype(np.float32)
        given = (points, images, owner, exponents, np.float32(block.cutoff**2), block.lmax)
        own = _AtPoints.apply(c, given)
        total = own if total is None else total + own
    if total is None:
        raise ValueError("readout: no blocks")
    return total


class _AtPoints(torch.autograd.Function):
    """One block."""

    @staticmethod
    def forward(ctx: Any, coefficients: torch.Tensor, given: tuple) -> torch.Tensor:
        ctx.given, ctx.shape = given, coefficients.shape
        values = np.zeros(len(given[0]), dtype=np.float32)
        kernel: Callable[..., None] = _forward
        kernel(coefficients.detach().contiguous().numpy(), *given, values)
        return torch.from_numpy(values)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None]:
        gradient = np.zeros(ctx.shape, dtype=np.float32)
        kernel: Callable[..., None] = _backward
        kernel(outer[0].contiguous().numpy(), *ctx.given, gradient)
        return torch.from_numpy(gradient), None


@compiled
def _forward(
    coefficients: Array,
    points: Array,
    images: Array,
    owner: npt.NDArray[np.int64],
    exponents: Array,
    reach: float,
    lmax: int,
    values: Array,
) -> None:
    count = (lmax + 1) ** 2
    y = np.zeros(count, dtype=np.float32)
    for i in range(len(images)):
        own = coefficients[owner[i]]
        for p in range(len(points)):
            dx = points[p, 0] - images[i, 0]
            dy = points[p, 1] - images[i, 1]
            dz = points[p, 2] - images[i, 2]
            r2 = dx * dx + dy * dy + dz * dz
            if r2 >= reach:
                continue
            end = np.float32(1.0) - r2 / reach
            end = end * end * end
            solid(dx, dy, dz, lmax, y)
            total = np.float32(0.0)
            for n in range(len(exponents)):
                power = exponents[n] * r2
                if power > NEGLIGIBLE:
                    continue
                inner = np.float32(0.0)
                for m in range(count):
                    inner += own[n, m] * y[m]
                total += inner * np.exp(-power)
            values[p] += total * end


@compiled
def _backward(
    outer: Array,
    points: Array,
    images: Array,
    owner: npt.NDArray[np.int64],
    exponents: Array,
    reach: float,
    lmax: int,
    gradient: Array,
) -> None:
    count = (lmax + 1) ** 2
    y = np.zeros(count, dtype=np.float32)
    for i in range(len(images)):
        own = gradient[owner[i]]
        for p in range(len(points)):
            dx = points[p, 0] - images[i, 0]
            dy = points[p, 1] - images[i, 1]
            dz = points[p, 2] - images[i, 2]
            r2 = dx * dx + dy * dy + dz * dz
            if r2 >= reach:
                continue
            end = np.float32(1.0) - r2 / reach
            end = end * end * end * outer[p]
            solid(dx, dy, dz, lmax, y)
            for n in range(len(exponents)):
                power = exponents[n] * r2
                if power > NEGLIGIBLE:
                    continue
                factor = end * np.exp(-power)
                for m in range(count):
                    own[n, m] += factor * y[m]
