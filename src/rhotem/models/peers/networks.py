"""The published networks: their settings, and how one is made."""

from typing import Annotated

import torch
from pydantic import Field

from rhotem.models.peers.charge3net import ChargE3Net, ChargE3NetSettings
from rhotem.models.peers.deepdft import DeepDFTSettings, Painn, Schnet

PeerSettings = Annotated[DeepDFTSettings | ChargE3NetSettings, Field(discriminator="architecture")]
Peer = Schnet | Painn | ChargE3Net


def new_peer(settings: PeerSettings) -> Peer:
    """A peer with the random weights that torch draws now."""
    if isinstance(settings, ChargE3NetSettings):
        return ChargE3Net(settings)
    return Painn(settings) if settings.architecture == "deepdft-painn" else Schnet(settings)


def make_peer(settings: PeerSettings, seed: int = 0) -> Peer:
    """A peer with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return new_peer(settings)
