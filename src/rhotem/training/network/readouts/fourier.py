"""Fourier coefficients of the spherical readout, analytic: what the potential is made of."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rhotem.density.harmonics import real_harmonics
from rhotem.learned.couplings import part
from rhotem.learned.radial import Block


@dataclass(frozen=True, eq=False)
class FourierTables:
    """Everything of the coefficients at given g that does not depend on the network.

    ``radial``: per block and l, (functions, M); ``angular`` (M, lm) complex, (−i)^l Y_lm(ĝ); ``phase`` (N, M) complex,
    exp(−2πi g·R)/Ω.
    """

    radial: tuple[tuple[torch.Tensor, ...], ...]
    angular: torch.Tensor
    phase: torch.Tensor

    def to(self, device: torch.device | str) -> "FourierTables":
        """The same on a device."""
        radial = tuple(tuple(t.to(device) for t in block) for block in self.radial)
        return FourierTables(radial, self.angular.to(device), self.phase.to(device))


def make_tables(
    blocks: tuple[Block, ...],
    g: npt.NDArray[np.float64],
    positions: npt.NDArray[np.float64],
    volume: float,
    dtype: torch.dtype = torch.float32,
) -> FourierTables:
    """Tables for reciprocal vectors g (M, 3) in 1/Å and atoms at positions (N, 3) in Å."""
    lmax = max(b.lmax for b in blocks)
    length = np.linalg.norm(g, axis=1)
    unique, inverse = np.unique(np.round(length, 9), return_inverse=True)
    radial = tuple(
        tuple(torch.from_numpy(b.transform(unique, l)[:, inverse]).to(dtype) for l in range(b.lmax + 1)) for b in blocks
    )
    powers = np.concatenate([np.full(2 * l + 1, (-1j) ** l) for l in range(lmax + 1)])
    angular = torch.from_numpy(real_harmonics(g, lmax) * powers)
    phase = torch.from_numpy(np.exp(-2j * np.pi * (positions @ g.T)) / volume)
    wide = torch.complex128 if dtype == torch.float64 else torch.complex64
    return FourierTables(radial, angular.to(wide), phase.to(wide))


def fourier(coefficients: tuple[torch.Tensor, ...], tables: FourierTables) -> torch.Tensor:
    """Δn(g) of one structure in e/Å³ (docs/conventions.md), (M,) complex."""
    total = torch.zeros_like(tables.phase)
    for c, radial in zip(coefficients, tables.radial, strict=True):
        for l, table in enumerate(radial):
            shaped = torch.einsum("inm,ng->igm", c[..., part(l)], table).to(total.dtype)
            total = total + (shaped * tables.angular[:, part(l)]).sum(-1)
    return (total * tables.phase).sum(0)
