"""A peer as an architecture that RhoTEM trains: encoder among atoms, readout to points.

The target is the deformation density Δn, as for RhoTEM's own readouts: the same voxels, loss and metrics.
Between the halves go the features of the atoms after every round, one tensor with a row per atom each.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from rhotem.learned.radial import Block
from rhotem.peers.charge3net import ChargE3Net
from rhotem.peers.deepdft import Painn
from rhotem.peers.neighbours import sorted_by_sender
from rhotem.peers.networks import Peer, PeerSettings, new_peer
from rhotem.training.network.graph import Graph
from rhotem.training.network.readouts.spherical import Probes

#: Fresh published networks give values of order 1; deformation densities are of this order in e/Å³.
TYPICAL = 0.05

#: What belongs to the rounds among atoms, and to those from atoms to points.
ATOMS = ("embedding", "atoms", "updates", "atom_mean", "atom_inv_std")
PROBES = ("probes", "readout", "probe_mean", "probe_inv_std")

States = tuple[torch.Tensor, ...]


@dataclass(frozen=True, eq=False)
class PeerFeatures:
    """Features of the atoms after every round; ``scalars``: the first of them, (N, …)."""

    states: States

    @property
    def scalars(self) -> torch.Tensor:
        """Stands for device and precision."""
        return self.states[0]


class PeerEncoder(nn.Module):
    """The rounds among atoms. The charge of the cell is not an input: published peers know neutral cells."""

    def __init__(self, settings: PeerSettings) -> None:
        super().__init__()
        self.settings = settings
        self.net = _without(new_peer(settings), PROBES)
        self.cutoff = settings.cutoff
        self.receptive_field = settings.cutoff * (settings.interactions + 1)

    def forward(self, graph: Graph) -> PeerFeatures:
        """Features of every atom of the graph."""
        near = sorted_by_sender(len(graph.numbers), graph.neighbour, graph.centre, -graph.vectors)
        return PeerFeatures(_flat(self.net.encode(graph.numbers, near)))


class PeerReadout(nn.Module):
    """The rounds from atoms to points: any function of a point's surroundings, not linear in given functions."""

    #: what stands between atoms; it has no size of its own
    encoder = PeerEncoder
    #: no functions with analytic integrals or Fourier coefficients, so trained on voxels alone
    blocks: tuple[Block, ...] = ()

    def __init__(self, settings: PeerSettings) -> None:
        super().__init__()
        self.net = _without(new_peer(settings), ATOMS)
        self.cutoff = settings.cutoff

    def forward(self, features: PeerFeatures, graph: Graph) -> States:
        """What the points need: the features of every round, and the charge of the cell per atom (N, 1)."""
        return (*features.states, graph.charge[:, None])

    def at_points(self, given: States, probes: Probes) -> torch.Tensor:
        """Δn at the points of ``probes``, (P,) in e/Å³."""
        pairs = probes.far
        counts = torch.tensor(pairs.per_atom, device=pairs.point.device)
        atom = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
        near = sorted_by_sender(probes.count, atom, pairs.point, pairs.vectors)
        return TYPICAL * self.net.density(rounds(self.net, given[:-1]), near)[:, 0]


def _without(net: Peer, names: tuple[str, ...]) -> Any:
    """``net`` without the parts called ``names``: each half has the weights that it uses, and no others."""
    for name in names:
        if hasattr(net, name):
            delattr(net, name)
    return net


def _flat(rounds: list[Any]) -> States:
    """Features of every round as tensors in a row."""
    found: list[torch.Tensor] = []
    for state in rounds:
        if isinstance(state, torch.Tensor):
            found.append(state)
        else:
            found.extend(state.values() if isinstance(state, dict) else state)
    return tuple(found)


def rounds(net: Peer, states: States) -> list[Any]:
    """Inverse of `_flat`."""
    rest = iter(states)
    if isinstance(net, ChargE3Net):
        return [{ir: next(rest) for ir in layer.senders} for layer in net.convolutions("probe")]
    if isinstance(net, Painn):
        return list(zip(rest, rest, strict=True))
    return list(rest)
