"""The magnetisation m = n↑ − n↓ of a network: a second set of coefficients, odd in the starting moments.

Every atom has a sign σ: that of its starting moment, 0 without one. Coefficients are σ_i times a map of the atom's own
features plus a sum over neighbours, each with its sign σ_j: turning all moments over turns m over, exactly, and without
moments there is none. The density n does not see the signs, so it is even.
"""

import math

import torch
from torch import nn

from rhotem.learned.couplings import size
from rhotem.learned.settings import SphericalSettings
from rhotem.learned.spin_head import NEIGHBOURS
from rhotem.training.network.encoders.base import AtomFeatures
from rhotem.training.network.graph import Graph
from rhotem.training.network.radial import bessel, end_function
from rhotem.training.network.readouts.spherical import Spherical
from rhotem.training.network.tensor import directions

#: Size to start from of coefficients, e Å^(-3/2): ten times that of Δn, a few electrons in a d shell.
TYPICAL = 0.3
#: Channels, radial functions and width of the messages that carry the signs of neighbours.
CHANNELS, BESSEL, WIDTH = 24, 8, 32


class SpinHead(Spherical):
    """Coefficients of m in the functions of the spherical readout, from features of atoms and signs of moments."""

    def __init__(
        self, settings: SphericalSettings, encoder: tuple[int, int, int], elements: int, cutoff: float
    ) -> None:
        scalars, channels, lmax = encoder
        super().__init__(settings, scalars, channels + CHANNELS, lmax, elements)
        del self.share  # nothing is to be counted: the moment of a cell is what comes out
        self.cutoff = cutoff
        nn.init.constant_(self.log_scale, math.log(TYPICAL))
        self.send = nn.Linear(scalars, CHANNELS)
        self.distance = nn.Linear(BESSEL, WIDTH, bias=False)
        self.receiver = nn.Linear(scalars, WIDTH)
        self.sender = nn.Linear(scalars, WIDTH, bias=False)
        self.weights = nn.Linear(WIDTH, CHANNELS * (lmax + 1))
        self.near_gate = nn.Linear(settings.width, CHANNELS)
        self.near = nn.Parameter(torch.randn(CHANNELS, self.functions) / math.sqrt(CHANNELS))
        self.l_of = [l for l in range(lmax + 1) for _ in range(2 * l + 1)]

    def forward(  # type: ignore[override]  # odd in a third argument
        self, features: AtomFeatures, graph: Graph, signs: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Coefficients of the plain functions, per block (N, functions, (lmax+1)²), µB/Å^(3+l); signs (N,)."""
        return self.from_around(features, self.around(features.scalars, graph, signs), graph.numbers, signs)

    def from_around(
        self, features: AtomFeatures, around: torch.Tensor, numbers: torch.Tensor, signs: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Coefficients of atoms from their features and `around`."""
        h = self.hidden(features.scalars)
        odd = torch.cat([features.tensors * signs[:, None, None], around], dim=2)
        gate = 2.0 * torch.sigmoid(self.near_gate(h))
        zero = signs[:, None] * self.scalar(h) + (around[:, 0] * gate) @ self.near
        return tuple(self._coefficients(zero, odd, h, numbers))

    def around(self, scalars: torch.Tensor, graph: Graph, signs: torch.Tensor) -> torch.Tensor:
        """Σ_j σ_j w(r_ij) Y_lm over neighbours with a moment, (N, (lmax+1)², CHANNELS)."""
        with_moment = torch.nonzero(signs[graph.neighbour])[:, 0]
        centre, neighbour = graph.centre[with_moment], graph.neighbour[with_moment]
        vectors = graph.vectors[with_moment]
        length = vectors.norm(dim=-1)
        hidden = self.distance(bessel(length, BESSEL, self.cutoff)) + self.receiver(scalars)[centre]
        weights = self.weights(nn.functional.silu(hidden + self.sender(scalars)[neighbour]))
        end = end_function(length / self.cutoff) * signs[neighbour]
        weights = weights.view(-1, self.lmax + 1, CHANNELS) * (end[:, None] * self.send(scalars)[neighbour])[:, None]
        message = weights[:, self.l_of] * directions(vectors, self.lmax)[..., None]
        total = scalars.new_zeros(len(scalars), size(self.lmax), CHANNELS)
        return total.index_add(0, centre, message) / math.sqrt(NEIGHBOURS)
