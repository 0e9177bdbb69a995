"""A NequIP-type encoder up to l = 4, small enough to train on a CPU."""

import math

import torch
from torch import nn

from rhotem.learned.couplings import couplings, part, size
from rhotem.learned.settings import ELEMENTS, NequipSettings
from rhotem.training.network.encoders.base import AtomFeatures
from rhotem.training.network.graph import Graph
from rhotem.training.network.radial import bessel, end_function
from rhotem.training.network.tensor import AtomProduct, EdgeProduct, Mix, directions, invariants, mlp

#: Bessel functions, end function and harmonics of every edge.
Edges = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

#: Edges handled at once in evaluation.
EDGES_AT_ONCE = 20_000

#: Atoms multiplied at once in evaluation.
ATOMS_AT_ONCE = 512


class Nequip(nn.Module):
    """Messages h_j ⊗ Y(r̂_ij) with radial weights, summed over neighbours, multiplied on the atom, gated; repeated.

    The product of an atom's summed messages with themselves (as in MACE) raises the body order without more edges.

    References
    ----------
    S. Batzner et al., Nat. Commun. 13, 2453 (2022); I. Batatia et al., NeurIPS 35 (2022).
    """

    def __init__(self, settings: NequipSettings) -> None:
        super().__init__()
        self.settings = s = settings
        self.cutoff = s.cutoff
        self.receptive_field = s.layers * s.cutoff
        self.scalars, self.lmax = s.scalars, s.lmax
        self.channels = (2 * s.layers + bool(s.extra_tensors)) * s.channels
        self.embedding = nn.Embedding(ELEMENTS, s.embedding)
        self.charge = nn.Linear(1, s.scalars, bias=False)
        nn.init.zeros_(self.charge.weight)
        self.start = nn.Linear(s.embedding + s.extra, s.scalars)
        self.given = nn.ParameterList(torch.randn(k, s.channels) / math.sqrt(k) for k in s.extra_tensors)
        self.layers = nn.ModuleList(_Layer(s, first=n == 0 and not s.extra_tensors) for n in range(s.layers))

    def forward(self, graph: Graph) -> AtomFeatures:
        """Features of every atom."""
        length = graph.vectors.norm(dim=-1)
        edges = (
            bessel(length, self.settings.bessel, self.cutoff),
            end_function(length / self.cutoff),
            directions(graph.vectors, self.lmax),
        )
        element = self.embedding(graph.numbers)
        known = element if graph.extra is None else torch.cat([element, graph.extra[:, : self.settings.extra]], dim=1)
        scalars = self.start(known) + self.charge(graph.charge[:, None])
        hidden = self._given(graph)
        kept = [] if hidden is None else [hidden]
        for layer in self.layers:
            scalars, hidden, own = layer(graph, scalars, hidden, edges, element)
            kept.append(own)
        return AtomFeatures(scalars, torch.cat(kept, dim=2))

    def _given(self, graph: Graph) -> torch.Tensor | None:
        """Given tensors in the channels of this encoder, or None."""
        if graph.extra is None or not len(self.given):
            return None
        result = graph.extra.new_zeros(len(graph.extra), size(self.lmax), self.settings.channels)
        start = self.settings.extra
        for l, mix in enumerate(self.given, start=1):
            flat = graph.extra[:, start : start + (2 * l + 1) * len(mix)]
            result[:, part(l)] = flat.reshape(len(flat), 2 * l + 1, len(mix)) @ mix
            start += flat.shape[1]
        return result


class _Layer(nn.Module):
    """One exchange of messages."""

    def __init__(self, s: NequipSettings, first: bool) -> None:
        super().__init__()
        self.lmax, self.channels = s.lmax, s.channels
        self.lmax_sent = 0 if first else min(s.lmax_sent, s.lmax)
        self.scale = 1.0 / math.sqrt(s.mean_neighbours)
        self.product = EdgeProduct(couplings(self.lmax_sent, s.lmax, s.lmax), s.lmax)
        self.send = nn.Linear(s.scalars, s.channels)
        self.element = nn.Linear(s.embedding, s.radial_width)
        self.element_sent = nn.Linear(s.embedding, s.radial_width, bias=False)
        self.radial = nn.Linear(s.bessel, s.radial_width, bias=False)
        self.weights = mlp(s.radial_width, s.radial_width, len(self.product) * s.channels)
        self.mix = Mix(s.channels, s.channels, s.lmax)
        self.power = AtomProduct(s.lmax, s.channels)
        self.update = mlp(s.scalars + 2 * s.channels * (s.lmax + 1), s.scalars, s.scalars)
        self.join = Mix(2 * s.channels + (0 if first else s.channels), s.channels, s.lmax)
        self.gate = nn.Linear(s.scalars, s.channels * (s.lmax + 1))
        self.l_of = [l for l in range(s.lmax + 1) for _ in range(2 * l + 1)]

    def forward(
        self,
        graph: Graph,
        scalars: torch.Tensor,
        hidden: torch.Tensor | None,
        edges: Edges,
        element: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """New scalars, what is sent next, and the features of this layer."""
        atoms = len(scalars)
        radial, end, harmonics = edges
        sent = self.send(scalars)[:, None]
        if hidden is not None:
            lower = hidden[:, : size(self.lmax_sent)]
            sent = torch.cat([sent + lower[:, :1], lower[:, 1:]], dim=1)
        own, other = self.element(element), self.element_sent(element)
        if self.lmax_sent == 0 and torch.is_grad_enabled() and bool((graph.centre.diff() >= 0).all()):
            a = self._from_scalars(graph, sent[:, 0], edges, own, other)
            return self._combine(scalars, hidden, a * self.scale)
        a = sent.new_zeros(atoms, size(self.lmax), self.channels)
        # without gradients the edges go in pieces, so that memory does not grow with the structure
        step = max(1, len(end)) if torch.is_grad_enabled() else EDGES_AT_ONCE
        for start in range(0, len(end), step):
            e = slice(start, start + step)
            centre, neighbour = graph.centre[e], graph.neighbour[e]
            # closed by the end function: a message vanishes smoothly at the cutoff
            weights = self.weights(nn.functional.silu(self.radial(radial[e]) + own[centre] + other[neighbour]))
            weights = (weights * end[e, None]).view(-1, len(self.product), self.channels)
            a = a.index_add(0, centre, self.product(sent[neighbour], harmonics[e], weights))
        return self._combine(scalars, hidden, a * self.scale)

    def _from_scalars(
        self, graph: Graph, sent: torch.Tensor, edges: Edges, own: torch.Tensor, other: torch.Tensor
    ) -> torch.Tensor:
        """The summed messages where only scalars are sent and edges are sorted by centre: one product per atom and l.

        Rows of edges are filled up with zeros to the same number for every atom.
        """
        radial, end, harmonics = edges
        atoms, count = len(own), torch.bincount(graph.centre, minlength=len(own))
        most = int(count.max()) if len(end) else 0
        row = torch.arange(len(end), device=end.device) - (count.cumsum(0) - count)[graph.centre]
        slot = graph.centre * most + row
        weights = self.weights(nn.functional.silu(self.radial(radial) + own[graph.centre] + other[graph.neighbour]))
        values = (weights * end[:, None]).view(-1, self.lmax + 1, self.channels) * sent[graph.neighbour][:, None]
        shape = (atoms, most, self.lmax + 1, self.channels)
        filled = values.new_zeros(atoms * most, *values.shape[1:]).index_copy(0, slot, values).view(shape)
        angular = harmonics.new_zeros(atoms * most, harmonics.shape[1]).index_copy(0, slot, harmonics)
        angular = angular.view(atoms, most, -1)
        return torch.cat(
            [angular[:, :, part(l)].transpose(1, 2) @ filled[:, :, l] for l in range(self.lmax + 1)], dim=1
        )

    def _combine(
        self, scalars: torch.Tensor, hidden: torch.Tensor | None, a: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """From the summed messages to new features."""
        atoms = len(scalars)
        # the product needs much memory: without gradients by pieces of the atoms
        step = max(1, atoms) if torch.is_grad_enabled() else ATOMS_AT_ONCE
        b = torch.cat([self.power(piece, self.mix(piece)) for piece in a.split(step)])
        change = self.update(torch.cat([scalars, invariants(a, self.lmax), invariants(b, self.lmax)], dim=1))
        scalars = scalars + change
        parts = [a, b] if hidden is None else [a, b, hidden]
        gate = torch.sigmoid(self.gate(scalars)).view(atoms, self.lmax + 1, self.channels)[:, self.l_of]
        return scalars, self.join(torch.cat(parts, dim=2)) * gate, torch.cat([a, b], dim=2)
