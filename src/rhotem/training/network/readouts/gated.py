"""The gated readout: every atom talks to the grid points near it, Δn(r) = Σ_i w_i(r) s_i(r), weight times strength."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rhotem.learned.couplings import part, size
from rhotem.learned.radial import Block
from rhotem.learned.readouts.gated.edges import CORE, LARGEST_WEIGHT, TYPICAL
from rhotem.learned.readouts.gated.settings import GatedSettings
from rhotem.training.network.encoders.base import AtomFeatures
from rhotem.training.network.graph import Graph
from rhotem.training.network.radial import geometric_weight
from rhotem.training.network.readouts.spherical import Pairs, Probes
from rhotem.training.network.tensor import mlp, solid_harmonics

#: Share of the empty channel at the start: its term in the sum of exponentials.
EMPTY = 0.1
#: Factor by which what an edge sees is larger than products of features, at the start.
AMPLIFY = 10.0


@dataclass(frozen=True, eq=False)
class Gates:
    """What the atoms near points contribute.

    Parameters
    ----------
    point, atom : (E,) int tensors
        One entry per atom (or periodic image) within reach of a point.
    weight, strength : (E,) tensors
        Share w_ik of the atom in the point, and s_ik in e/Å³; Δn = Σ_i w_ik s_ik.
    filled : (P,) tensor
        Σ_i w_ik, what the empty channel leaves: 1 in a bulk, 0 in vacuum.
    """

    point: torch.Tensor
    atom: torch.Tensor
    weight: torch.Tensor
    strength: torch.Tensor
    filled: torch.Tensor


class Gated(nn.Module):
    """Atom -> point edges, each with its own features, and the gate over the atoms near a point.

    Directions enter as r^l Y_lm / (r² + r_0²)^(l/2), distances as Gaussians of r²: all smooth through a nucleus.
    """

    #: no functions with analytic integrals or Fourier coefficients
    blocks: tuple[Block, ...] = ()

    def __init__(self, settings: GatedSettings, scalars: int, channels: int, lmax: int, elements: int) -> None:
        super().__init__()
        self.settings = s = settings
        if s.lmax > lmax:
            raise ValueError("readout: its lmax is larger than the encoder's")
        self.cutoff = s.cutoff
        self.channels, self.lmax = channels, s.lmax
        self.hidden = nn.Sequential(mlp(scalars, 2 * s.width, 2 * s.width), nn.SiLU())
        self.scalar = nn.Linear(2 * s.width, s.channels)
        self.gate_in = nn.Linear(2 * s.width, channels * s.lmax)
        self.gate_out = nn.Linear(2 * s.width, s.channels * s.lmax)
        self.first = nn.Parameter(torch.randn(s.lmax, channels, s.channels) / math.sqrt(channels))
        self.second = nn.Parameter(torch.randn(s.lmax, channels, s.channels) / math.sqrt(channels))
        self.known = nn.Linear(2 * s.width, s.width)
        self.log_scale = nn.Parameter(torch.zeros(elements))
        seen = s.channels * (s.lmax + 1)
        self.radial = mlp(s.functions, s.radial_width, seen)
        nn.init.ones_(self.radial[-1].get_parameter("bias"))
        self.shells = nn.Linear(s.functions, seen, bias=False)
        nn.init.normal_(self.shells.weight)
        #: features of a fresh encoder are small: this makes strengths of order 1 from the start
        self.log_size = nn.Parameter(torch.full((seen,), math.log(AMPLIFY)))
        self.compress = nn.Linear(seen, s.width)
        self.edge = nn.Sequential(nn.SiLU(), mlp(s.width, s.width, s.width))
        self.direct = nn.Linear(seen, 1, bias=False)
        self.strength = mlp(s.width, s.width, 1)
        self.chemical = mlp(2 * s.width, s.width, 1)
        self.log_empty = nn.Parameter(torch.tensor(math.log(EMPTY)))
        select = torch.zeros(size(s.lmax), s.lmax + 1)
        for l in range(s.lmax + 1):
            select[part(l), l] = 1.0 / math.sqrt(2 * l + 1)
        self.register_buffer("select", select, persistent=False)

    def forward(self, features: AtomFeatures, graph: Graph) -> tuple[torch.Tensor, ...]:
        """What every atom gives to its edges.

        Tensors (N, (lmax+1)², K), known scalars (N, width), scale of strengths (N, 1).
        """
        s = self.settings
        h = self.hidden(features.scalars)
        gate_in = 2.0 * torch.sigmoid(self.gate_in(h)).view(-1, self.lmax, self.channels)
        gate_out = self.gate_out(h).view(-1, self.lmax, s.channels)
        parts = [self.scalar(h)[:, None]]
        for l in range(1, self.lmax + 1):
            f = features.tensors[:, part(l)]
            turned = (f * gate_in[:, None, l - 1]) @ self.first[l - 1]
            parts.append(turned + (f @ self.second[l - 1]) * gate_out[:, None, l - 1])
        scale = self.log_scale[graph.numbers].exp()
        return torch.cat(parts, dim=1), self.known(h), scale[:, None]

    def at_points(self, given: tuple[torch.Tensor, ...], probes: Probes) -> torch.Tensor:
        """Δn at the points of ``probes``, (P,) in e/Å³, before the electron count is made exact."""
        gates = self.gates(given, probes)
        return gates.filled.new_zeros(probes.count).index_add(0, gates.point, gates.weight * gates.strength)

    def gates(self, given: tuple[torch.Tensor, ...], probes: Probes) -> Gates:
        """Weight and strength of every atom within reach of every point."""
        pairs = probes.far
        tensors, known, scale = given
        atom = torch.repeat_interleave(
            torch.arange(len(pairs.per_atom), device=known.device),
            torch.tensor(pairs.per_atom, device=known.device),
        )
        r_squared = (pairs.vectors**2).sum(-1)
        seen = self._scalars(tensors, pairs, r_squared)
        g = self.edge(self.compress(seen) + known[atom])
        typical = TYPICAL * (r_squared + CORE**2) ** -0.75
        strength = (self.direct(seen) + self.strength(g))[:, 0] * typical * scale[atom, 0]
        near = geometric_weight((r_squared + 1e-30).sqrt() / self.cutoff).clamp(min=0.0)
        weight, filled = self._weights(g, near, pairs.point, probes.count)
        return Gates(pairs.point, atom, weight, strength, filled)

    def _scalars(self, tensors: torch.Tensor, pairs: Pairs, r_squared: torch.Tensor) -> torch.Tensor:
        """A message that stays on its edge: (E, (lmax+1)·K) scalars, the products of tensors with its direction."""
        s = self.settings
        radial = self._shells(r_squared)
        harmonics = bounded_harmonics(pairs.vectors, s.lmax, s.narrowest)
        select = self.get_buffer("select")
        # per atom one matrix from harmonics to scalars: no edge has to hold the tensors of its atom
        matrices = (tensors[:, :, None] * select[None, :, :, None]).flatten(2)
        pieces = torch.split(harmonics, pairs.per_atom)
        scalars = torch.cat([y @ m for y, m in zip(pieces, matrices, strict=True)])
        return scalars * (self.radial(radial) + self.shells(radial)) * self.log_size.exp()

    def _shells(self, r_squared: torch.Tensor) -> torch.Tensor:
        """(E, functions) differences of Gaussians of the distance: one shell each, smooth in r²."""
        s = self.settings
        sigma = np.geomspace(s.narrowest, s.widest, s.functions)
        exponent = torch.as_tensor(-0.5 / sigma**2, dtype=r_squared.dtype, device=r_squared.device)
        # not below exp(−80): denormal numbers make a processor ten times slower
        gaussians = torch.exp((r_squared[:, None] * exponent).clamp(min=-80.0))
        return torch.cat([gaussians[:, :1], gaussians[:, 1:] - gaussians[:, :-1]], dim=1)

    def _weights(
        self, g: torch.Tensor, near: torch.Tensor, point: torch.Tensor, count: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """w_ik and their sums over i."""
        kind = self.settings.gate
        if kind == "sum":
            return near, near.new_zeros(count).index_add(0, point, near)
        context = g.new_zeros(count, g.shape[1]).index_add(0, point, g * near[:, None])
        chemical = self.chemical(torch.cat([g, context[point]], dim=1))[:, 0]
        raised = torch.exp(LARGEST_WEIGHT * torch.tanh(chemical / LARGEST_WEIGHT))
        if kind != "softmax":
            raised = raised * near
        total = raised.new_zeros(count).index_add(0, point, raised)
        empty = self.log_empty.exp() if kind == "full" else torch.finfo(raised.dtype).tiny
        return raised / (empty + total)[point], total / (empty + total)


def bounded_harmonics(vectors: torch.Tensor, lmax: int, radius: float) -> torch.Tensor:
    """√(4π) r^l Y_lm / (r² + radius²)^(l/2): Y_lm far away, vanishing as r^l at the nucleus, smooth everywhere."""
    shrunk = vectors / ((vectors**2).sum(-1, keepdim=True) + radius**2).sqrt()
    return solid_harmonics(shrunk, lmax) * math.sqrt(4.0 * math.pi)
