"""What a network in torch makes of one structure, evaluated as in training."""

import math
from typing import TYPE_CHECKING

import torch

from rhotem.core import MemoryLimitError
from rhotem.learned.radial import Block
from rhotem.learned.readouts.base import Announce, Single
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import as_network
from rhotem.training.network.model import DensityModel

if TYPE_CHECKING:
    from rhotem.learned.model import LearnedModel

#: What the readout of a network needs of every atom.
Given = tuple[torch.Tensor, ...]


def prepared(model: DensityModel, structure: Structure, members: bool = False) -> Given:
    """What the readout needs of every atom, on the model's device; of every member with ``members``.

    Raises
    ------
    InputError
        If the structure has no atoms, or atoms closer than 0.5 Å.
    MemoryLimitError
        If it does not fit into memory.
    """
    try:
        with torch.no_grad():
            return (model.member_coefficients if members else model)(model.graph(structure))
    except RuntimeError as error:  # torch's word for it
        if "memory" not in str(error):
            raise
        raise MemoryLimitError(f"model: {len(structure)} atoms do not fit into memory; use a smaller cell") from error


class NetworkReadout(Single):
    """What `rhotem.learned.readouts.base.Readout` of a network in torch begins with, whatever it makes of its atoms."""

    blocks: tuple[Block, ...] = ()
    spacing = 0.12

    def __init__(self, model: "LearnedModel") -> None:
        self.network = as_network(model)
        self.cutoff = self.network.readout.cutoff
        self.receptive_field = self.network.encoder.receptive_field

    def prepare(
        self,
        structure: Structure,
        memory: float | None = None,
        announce: Announce | None = None,
        *,
        reach: float = math.inf,
    ) -> Given:
        """What the readout needs of every atom; memory is not bounded."""
        return prepared(self.network, structure)
