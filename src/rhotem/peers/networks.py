"""The published networks: their settings, and how one is made."""

from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter

from rhotem.peers.charge3net import ChargE3Net, ChargE3NetSettings
from rhotem.peers.deepdft import DeepDFTSettings, Painn, Schnet

PeerSettings = Annotated[DeepDFTSettings | ChargE3NetSettings, Field(discriminator="architecture")]
Peer = Schnet | Painn | ChargE3Net


def read_settings(content: Any) -> PeerSettings:
    """Settings from what a header or a configuration says."""
    found: PeerSettings = TypeAdapter(PeerSettings).validate_python(content)
    return found


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
