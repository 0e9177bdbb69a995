"""The network that is trained: an encoder and a readout in torch. `rhotem.learned.model` predicts with its weights."""

from typing import Any

import torch
from torch import nn

from rhotem.learned.architectures import Architecture
from rhotem.learned.settings import ELEMENTS, ModelSettings
from rhotem.structure.model import Structure
from rhotem.training.network.encoders.nequip import Nequip
from rhotem.training.network.encoders.sevennet import Pretrained
from rhotem.training.network.graph import Graph, build_graph
from rhotem.training.network.spin import SpinHead


class DensityModel(nn.Module):
    """Graph in, coefficients of the deformation density out."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder: Any
        self.readout: Any
        self.others = nn.ModuleList()
        self.spin: SpinHead | None = None
        kind = settings.architecture
        make = kind.load(kind.network)
        own = settings.section(kind.name)
        if settings.peer is not None:
            self.encoder, self.readout = make.encoder(own), make(own)
            return
        pretrained = settings.encoder == "sevennet"
        self.encoder = Pretrained(settings.sevennet, settings.nequip) if pretrained else Nequip(settings.nequip)
        e = self.encoder
        sizes = (e.scalars, e.channels, e.lmax, ELEMENTS)
        self.readout = make(own, *sizes)
        #: members after the first; their functions are those of ``readout``
        self.others = nn.ModuleList(make(own, *sizes) for _ in range(settings.members - 1))
        if settings.spin:
            self.spin = SpinHead(settings.spherical, (e.scalars, e.channels, e.lmax), ELEMENTS, e.cutoff)

    @property
    def can(self) -> Architecture:
        """What its readout is and can."""
        return self.settings.architecture

    def forward(self, graph: Graph) -> tuple[torch.Tensor, ...]:
        """Coefficients of every atom, one tensor per block of the readout: the mean of the members.

        The density is linear in them, so this is the mean density. Of other readouts: what their edges start from, one
        member after the other.
        """
        features = self.encoder(graph)
        if not self.can.linear:
            return tuple(given for readout in self.readouts for given in readout(features, graph))
        total = self.readout(features, graph)
        for other in self.others:  # summed up one by one: memory does not grow with the members
            total = tuple(a + b for a, b in zip(total, other(features, graph), strict=True))
        return tuple(c / self.settings.members for c in total)

    @property
    def readouts(self) -> tuple[nn.Module, ...]:
        """Readouts of all members."""
        return (self.readout, *self.others)

    def graph(self, structure: Structure) -> Graph:
        """Edges of a structure as far as the encoder sees, on the device and in the precision of the weights.

        Raises
        ------
        InputError
            If the structure has no atoms, or atoms closer than 0.5 Å.
        """
        s, parameter = structure, next(self.parameters())
        graph = build_graph(s.numbers, s.positions, s.cell, self.encoder.cutoff, s.charge)
        return graph.to(parameter.device, parameter.dtype)

    def member_coefficients(self, graph: Graph) -> tuple[torch.Tensor, ...]:
        """Coefficients of every member, one tensor (members, N, functions, (lmax+1)²) per block."""
        features = self.encoder(graph)
        each = [readout(features, graph) for readout in self.readouts]
        return tuple(torch.stack(block) for block in zip(*each, strict=True))

    @property
    def cutoffs(self) -> tuple[float, float, float]:
        """Reach in Å of the encoder's edges, the near and the far block of the readout."""
        if not self.can.linear:
            return self.encoder.cutoff, 0.0, self.readout.cutoff
        near, far = self.readout.blocks
        return self.encoder.cutoff, near.cutoff, far.cutoff

    @property
    def parameters_count(self) -> int:
        """Number of trained numbers."""
        return sum(p.numel() for p in self.parameters())


def make_model(settings: ModelSettings, seed: int = 0) -> DensityModel:
    """A model with random weights, the same for the same seed whatever torch drew before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DensityModel(settings)
