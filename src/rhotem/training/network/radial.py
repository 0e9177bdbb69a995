"""Radial functions in torch: those of `rhotem.learned.radial`, differentiable."""

import math

import torch

from rhotem.learned.radial import Block


def gaussians(block: Block, r_squared: torch.Tensor) -> torch.Tensor:
    """exp(−r²/2σ²) times the smooth end; (M, functions)."""
    exponent = torch.as_tensor(-0.5 / block.sigma**2, dtype=r_squared.dtype, device=r_squared.device)
    end = (1.0 - r_squared / block.cutoff**2).clamp(min=0.0) ** 3
    return torch.exp(r_squared[:, None] * exponent) * end[:, None]


def bessel(r: torch.Tensor, count: int, cutoff: float) -> torch.Tensor:
    """√(2/r_c) sin(kπr/r_c)/r, k = 1…count; (M, count) (Gasteiger et al., DimeNet, ICLR 2020, eq. 7)."""
    k = torch.arange(1, count + 1, dtype=r.dtype, device=r.device) * (math.pi / cutoff)
    return torch.sin(k * r[:, None]) / r[:, None] * math.sqrt(2.0 / cutoff)


def end_function(u: torch.Tensor) -> torch.Tensor:
    """1 − 28u⁶ + 48u⁷ − 21u⁸ for u <= 1, zero beyond, two vanishing derivatives at 1 (DimeNet, eq. 8, p = 6)."""
    v = u.clamp(max=1.0)
    return 1.0 - 28.0 * v**6 + 48.0 * v**7 - 21.0 * v**8


def geometric_weight(u: torch.Tensor) -> torch.Tensor:
    """1 + u³(−6u² + 15u − 10) for 0 <= u <= 1, zero beyond: flat at 0, two vanishing derivatives at 1."""
    v = u.clamp(max=1.0)
    return 1.0 + v**3 * (-6.0 * v**2 + 15.0 * v - 10.0)
