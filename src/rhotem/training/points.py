"""The spherical readout at single points, compiled, with the gradient of its coefficients: what training needs.

Pairs of points and atoms are never stored: the kernels go over the images near the cell twice, forth and back.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.learned.kernels.compiled import compiled
from rhotem.learned.radial import Block

#: Largest angular momentum the kernels know.
LMAX = 4
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
def _harmonics(x: float, y: float, z: float, lmax: int, out: Array) -> None:
    """r^l Y_lm, order l² + l + m (docs/conventions.md)."""
    out[0] = 0.28209479177387814
    if lmax > 0:
        out[1] = 0.4886025119029199 * y
        out[2] = 0.4886025119029199 * z
        out[3] = 0.4886025119029199 * x
    xx, yy, zz = x * x, y * y, z * z
    r2 = xx + yy + zz
    if lmax > 1:
        out[4] = 1.0925484305920792 * x * y
        out[5] = 1.0925484305920792 * y * z
        out[6] = 0.31539156525252005 * (3.0 * zz - r2)
        out[7] = 1.0925484305920792 * x * z
        out[8] = 0.5462742152960396 * (xx - yy)
    if lmax > 2:
        out[9] = 0.5900435899266435 * y * (3.0 * xx - yy)
        out[10] = 2.890611442640554 * x * y * z
        out[11] = 0.4570457994644658 * y * (5.0 * zz - r2)
        out[12] = 0.3731763325901154 * z * (5.0 * zz - 3.0 * r2)
        out[13] = 0.4570457994644658 * x * (5.0 * zz - r2)
        out[14] = 1.445305721320277 * z * (xx - yy)
        out[15] = 0.5900435899266435 * x * (xx - 3.0 * yy)
    if lmax > 3:
        out[16] = 2.5033429417967046 * x * y * (xx - yy)
        out[17] = 1.7701307697799304 * y * z * (3.0 * xx - yy)
        out[18] = 0.9461746957575601 * x * y * (7.0 * zz - r2)
        out[19] = 0.6690465435572892 * y * z * (7.0 * zz - 3.0 * r2)
        out[20] = 0.10578554691520431 * (35.0 * zz * zz - 30.0 * zz * r2 + 3.0 * r2 * r2)
        out[21] = 0.6690465435572892 * x * z * (7.0 * zz - 3.0 * r2)
        out[22] = 0.47308734787878004 * (xx - yy) * (7.0 * zz - r2)
        out[23] = 1.7701307697799304 * x * z * (xx - 3.0 * yy)
        out[24] = 0.6258357354491761 * (xx * xx - 6.0 * xx * yy + yy * yy)


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
            _harmonics(dx, dy, dz, lmax, y)
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
            _harmonics(dx, dy, dz, lmax, y)
            for n in range(len(exponents)):
                power = exponents[n] * r2
                if power > NEGLIGIBLE:
                    continue
                factor = end * np.exp(-power)
                for m in range(count):
                    own[n, m] += factor * y[m]
