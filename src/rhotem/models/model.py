"""The model: an encoder and a readout, with the settings that make it again."""

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from rhotem.models.encoders.nequip import ELEMENTS, Nequip, NequipSettings
from rhotem.models.encoders.sevennet import Pretrained, SevenNetSettings
from rhotem.models.graph import Graph, build_graph
from rhotem.models.peers.halves import PeerEncoder, PeerReadout
from rhotem.models.peers.networks import PeerSettings
from rhotem.models.readouts.gated import Gated, GatedSettings
from rhotem.models.readouts.spherical import Spherical, SphericalSettings
from rhotem.models.spin import SpinHead
from rhotem.models.target import Target, start_from_free_atoms, valence_table
from rhotem.structure.model import Structure


class ModelSettings(BaseModel):
    """What a model is made of; stored with its weights.

    Parameters
    ----------
    encoder : "nequip" or "sevennet"
        `rhotem.models.encoders`: from scratch, or a few layers of that on top of frozen pretrained ones.
    readout : "spherical" or "gated"
        `rhotem.models.readouts`: linear in analytic functions, or weight × strength of the atoms near a point.
    target : "deformation" or "density"
        What the readout draws: Δn, or the whole valence density (`rhotem.models.target`).
    peer : settings of a published network, or None
        Instead of an encoder and a readout of ours: `rhotem.models.peers.halves`.
    spin : bool
        Whether it gives the magnetisation, too (`rhotem.models.spin`).
    spin_elements : list of int
        Atomic numbers that had a moment in training; set by training.
    members : int
        Readouts on the one encoder, trained on different labels: their mean is the density, their spread its doubt.
    elements : list of int
        Atomic numbers it was trained on; set by training.
    """

    model_config = ConfigDict(extra="forbid")
    encoder: Literal["nequip", "sevennet"] = "nequip"
    readout: Literal["spherical", "gated"] = "spherical"
    nequip: NequipSettings = NequipSettings()
    sevennet: SevenNetSettings = SevenNetSettings()
    spherical: SphericalSettings = SphericalSettings()
    gated: GatedSettings = GatedSettings()
    peer: PeerSettings | None = None
    target: Target = "deformation"
    spin: bool = False
    spin_elements: list[int] = Field(default_factory=list)
    members: int = Field(1, ge=1, le=64)
    elements: list[int] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_gated(self) -> "ModelSettings":
        if self.peer is not None and (self.members > 1 or self.target == "density" or self.spin):
            raise ValueError("peer: trained alone and on Δn; set members = 1, leave out target and spin")
        if self.readout == "gated" and self.members > 1:
            raise ValueError("members: several only of the spherical readout, whose mean is linear; set members = 1")
        if self.readout == "gated" and self.target == "density":
            raise ValueError("target: density only with the spherical readout; set readout or target = deformation")
        return self


class DensityModel(nn.Module):
    """Graph in, coefficients of the deformation density out."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder: Any
        self.readout: Any
        self.others = nn.ModuleList()
        self.spin: SpinHead | None = None
        if settings.peer is not None:
            self.encoder, self.readout = PeerEncoder(settings.peer), PeerReadout(settings.peer)
            return
        pretrained = settings.encoder == "sevennet"
        self.encoder = Pretrained(settings.sevennet, settings.nequip) if pretrained else Nequip(settings.nequip)
        e = self.encoder
        sizes = (e.scalars, e.channels, e.lmax, ELEMENTS)
        self.readout = (
            Gated(settings.gated, *sizes) if settings.readout == "gated" else Spherical(settings.spherical, *sizes)
        )
        #: members after the first; their functions are those of ``readout``
        self.others = nn.ModuleList(Spherical(settings.spherical, *sizes) for _ in range(settings.members - 1))
        if settings.target == "density":
            for readout in (self.readout, *self.others):
                readout.valence.copy_(valence_table(ELEMENTS))
                start_from_free_atoms(readout, settings.elements)
        if settings.spin:
            self.spin = SpinHead(settings.spherical, (e.scalars, e.channels, e.lmax), ELEMENTS, e.cutoff)

    def forward(self, graph: Graph) -> tuple[torch.Tensor, ...]:
        """Coefficients of every atom, one tensor per block of the readout: the mean of the members.

        The density is linear in them, so this is the mean density. Of other readouts: what their edges start from.
        """
        features = self.encoder(graph)
        total = self.readout(features, graph)
        for other in self.others:  # summed up one by one: memory does not grow with the members
            total = tuple(a + b for a, b in zip(total, other(features, graph), strict=True))
        return tuple(c / self.settings.members for c in total)

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
        each = [readout(features, graph) for readout in (self.readout, *self.others)]
        return tuple(torch.stack(block) for block in zip(*each, strict=True))

    @property
    def cutoffs(self) -> tuple[float, float, float]:
        """Reach in Å of the encoder's edges, the near and the far block of the readout."""
        if not self.readout.linear:
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
