"""The spherical readout: Δn(r) = Σ_i Σ_nlm c_i,nlm r^l G_n(r) Y_lm around every atom, linear in c."""

import math

import torch
from torch import nn

from rhotem.learned.couplings import part
from rhotem.learned.readouts.spherical.coefficients import blocks_of
from rhotem.learned.settings import SphericalSettings
from rhotem.training.network.encoders.base import AtomFeatures
from rhotem.training.network.graph import Graph
from rhotem.training.network.radial import gaussians
from rhotem.training.network.tensor import ExactTables, mlp, solid_harmonics

#: Size to start from of coefficients of orthonormal functions, e Å^(-3/2): what least squares gives for oxides.
TYPICAL = 0.03


class Spherical(ExactTables):
    """Gated equivariant map from features to the coefficients, and their sum at points.

    c = (W₁ (F ∘ gate(h)) + gate'(h) ∘ W₂ F) · scale(element): linear in the tensors F of an atom, everything else is
    decided by its scalars h.
    """

    def __init__(self, settings: SphericalSettings, scalars: int, channels: int, lmax: int, elements: int) -> None:
        super().__init__()
        self.settings = settings
        self.blocks = blocks_of(settings)
        if max(b.lmax for b in self.blocks) > lmax:
            raise ValueError("readout: its lmax is larger than the encoder's")
        self.functions = sum(b.functions for b in self.blocks)
        self.lmax, self.channels = lmax, channels
        n, width = self.functions, settings.width
        self.hidden = nn.Sequential(mlp(scalars, width, width), nn.SiLU())
        self.scalar = nn.Linear(width, n)
        self.gate_in = nn.Linear(width, channels * lmax)
        self.gate_out = nn.Linear(width, n * lmax)
        self.first = nn.Parameter(torch.randn(lmax, channels, n) / math.sqrt(channels))
        self.second = nn.Parameter(torch.randn(lmax, channels, n) / math.sqrt(channels))
        self.share = nn.Linear(width, 1)
        #: logarithm of the typical size of a coefficient, by element, l and function
        self.log_scale = nn.Parameter(torch.full((elements, lmax + 1, n), math.log(TYPICAL)))
        for index, block in enumerate(self.blocks):
            for l in range(block.lmax + 1):
                self.register_table(f"orthonormal{index}_{l}", torch.from_numpy(block.orthonormal(l)))

    def forward(self, features: AtomFeatures, graph: Graph) -> tuple[torch.Tensor, ...]:
        """Coefficients of the plain functions r^l G_n Y_lm, per block (N, functions, (lmax+1)²), e/Å^(3+l).

        Their electrons add up to −q of every cell: what is missing goes to the widest function of every atom, in shares
        that the network decides. The density is never scaled.
        """
        return self._counted(*self.uncounted(features, graph.numbers), graph)

    def uncounted(self, features: AtomFeatures, numbers: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Coefficients as every atom alone has them, and its share (N,) of what the cell's electron count misses."""
        h = self.hidden(features.scalars)
        result = self._coefficients(self.scalar(h), features.tensors, h, numbers)
        return result, nn.functional.softplus(self.share(h)[:, 0]) + 1e-3

    def _coefficients(
        self, scalars: torch.Tensor, tensors: torch.Tensor, h: torch.Tensor, numbers: torch.Tensor
    ) -> list[torch.Tensor]:
        """Of the plain functions, from those of l = 0 (N, functions), and tensors l > 0 with gates from ``h``."""
        scale = self.log_scale[numbers].exp()
        gate_in = 2.0 * torch.sigmoid(self.gate_in(h)).view(-1, self.lmax, self.channels)
        gate_out = self.gate_out(h).view(-1, self.lmax, self.functions)
        parts = [(scalars * scale[:, 0])[..., None]]
        for l in range(1, self.lmax + 1):
            f = tensors[:, part(l)]
            c = (f * gate_in[:, None, l - 1]) @ self.first[l - 1] + (f @ self.second[l - 1]) * gate_out[:, None, l - 1]
            parts.append(c.transpose(1, 2) * scale[:, l, :, None])
        result, start = [], 0
        for index, block in enumerate(self.blocks):
            own = [p[:, start : start + block.functions] for p in parts[: block.lmax + 1]]
            plain = [getattr(self, f"orthonormal{index}_{l}") @ c for l, c in enumerate(own)]
            result.append(torch.cat(plain, dim=2))
            start += block.functions
        return result

    def atom_electrons(self, coefficients: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Electrons that every atom's functions hold, (N,)."""
        held = [c[..., 0] @ c.new_tensor(b.electrons) for b, c in zip(self.blocks, coefficients, strict=True)]
        return torch.stack(held).sum(0)

    def _counted(self, parts: list[torch.Tensor], share: torch.Tensor, graph: Graph) -> tuple[torch.Tensor, ...]:
        held = self.atom_electrons(tuple(parts))
        cells = len(graph.total_charge)
        sums = share.new_zeros(2, cells).index_add(1, graph.cell_index, torch.stack([held, share]))
        missing = (-graph.total_charge - sums[0]) / sums[1]
        add = share * missing[graph.cell_index] / float(self.blocks[-1].electrons[-1])
        last = parts[-1].new_zeros(parts[-1].shape)
        last[:, -1, 0] = 1.0
        return (*parts[:-1], parts[-1] + last * add[:, None, None])

    def at_points(self, coefficients: tuple[torch.Tensor, ...], probes: "Probes") -> torch.Tensor:
        """Δn at the points of ``probes``, (P,) in e/Å³."""
        result = probes.near.vectors.new_zeros(probes.count)
        for block, c, pairs in zip(self.blocks, coefficients, (probes.near, probes.far), strict=True):
            near = torch.split(gaussians(block, (pairs.vectors**2).sum(-1)), pairs.per_atom)
            radial = torch.cat([g @ own.reshape(block.functions, -1) for g, own in zip(near, c, strict=True)])
            values = (radial * solid_harmonics(pairs.vectors, block.lmax)).sum(-1)
            result = result.index_add(0, pairs.point, values)
        return result


class Pairs:
    """Points around atoms, sorted by atom: ``point`` (M,), ``vectors`` (M, 3) from the atom, ``per_atom`` counts."""

    def __init__(self, point: torch.Tensor, vectors: torch.Tensor, per_atom: list[int]) -> None:
        self.point, self.vectors, self.per_atom = point, vectors, per_atom

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Pairs":
        """The same on a device."""
        return Pairs(self.point.to(device), self.vectors.to(device, dtype), self.per_atom)


class Probes:
    """Points with their pairs for the near and the far block."""

    def __init__(self, count: int, near: Pairs, far: Pairs) -> None:
        self.count, self.near, self.far = count, near, far

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> "Probes":
        """The same on a device."""
        return Probes(self.count, self.near.to(device, dtype), self.far.to(device, dtype))
