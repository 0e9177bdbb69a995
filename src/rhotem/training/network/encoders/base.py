"""What an encoder is: graph in, features of every atom out."""

from dataclasses import dataclass
from typing import Protocol

import torch

from rhotem.training.network.graph import Graph


@dataclass(frozen=True, eq=False)
class AtomFeatures:
    """What is known of every atom and its surroundings.

    Parameters
    ----------
    scalars : (N, C) tensor
        Invariant features.
    tensors : (N, (lmax+1)², K) tensor
        K channels of spherical tensors, rows l² + l + m, parity (−1)^l.
    """

    scalars: torch.Tensor
    tensors: torch.Tensor


class Encoder(Protocol):
    """An encoder is a torch module with these attributes.

    ``cutoff``: reach of an edge in Å; ``receptive_field``: distance in Å beyond which nothing matters;
    ``scalars``, ``channels``, ``lmax``: sizes of its features.
    """

    cutoff: float
    receptive_field: float
    scalars: int
    channels: int
    lmax: int

    def __call__(self, graph: Graph) -> AtomFeatures:
        """Features of every atom of the graph."""
        ...
