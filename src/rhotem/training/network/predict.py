"""What a network in torch makes of one structure, evaluated as in training."""

import torch

from rhotem.core import MemoryLimitError
from rhotem.structure.model import Structure
from rhotem.training.network.model import DensityModel


def prepared(model: DensityModel, structure: Structure, members: bool = False) -> tuple[torch.Tensor, ...]:
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
