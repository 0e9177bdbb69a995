"""The model: an encoder and a readout, with the settings that make it again."""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from rhotem.models.encoders.nequip import ELEMENTS, Nequip, NequipSettings
from rhotem.models.graph import Graph
from rhotem.models.readouts.spherical import Spherical, SphericalSettings


class ModelSettings(BaseModel):
    """What a model is made of; stored with its weights.

    Parameters
    ----------
    encoder : "nequip"
        `rhotem.models.encoders.nequip`, from scratch.
    elements : list of int
        Atomic numbers it was trained on; set by training.
    """

    model_config = ConfigDict(extra="forbid")
    encoder: Literal["nequip"] = "nequip"
    readout: Literal["spherical"] = "spherical"
    nequip: NequipSettings = NequipSettings()
    spherical: SphericalSettings = SphericalSettings()
    elements: list[int] = Field(default_factory=list)


class DensityModel(nn.Module):
    """Graph in, coefficients of the deformation density out."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = Nequip(settings.nequip)
        e = self.encoder
        self.readout = Spherical(settings.spherical, e.scalars, e.channels, e.lmax, ELEMENTS)

    def forward(self, graph: Graph) -> tuple[torch.Tensor, ...]:
        """Coefficients of every atom, one tensor per block of the readout."""
        return self.readout(self.encoder(graph), graph)

    @property
    def cutoffs(self) -> tuple[float, float, float]:
        """Reach in Å of the encoder's edges, the near and the far block of the readout."""
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
