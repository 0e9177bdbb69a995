"""Scalars of the first pretrained layers alone, by the compiled encoder: what novelty looks at."""

import numpy as np
import numpy.typing as npt
import torch

from rhotem.models.encoders.base import AtomFeatures
from rhotem.models.encoders.sevennet import Pretrained
from rhotem.models.fast.encoder import FastEncoder
from rhotem.models.fast.sevennet import SevenNetStage
from rhotem.models.fast.stage import States, Surroundings
from rhotem.structure.model import Structure


class _ScalarsStage(SevenNetStage):
    """A layer of SevenNet whose scalars are kept as they are, beside those of the layers before it ("scalars")."""

    def __init__(self, encoder: Pretrained, index: int, final: bool) -> None:
        super().__init__(encoder, index)
        self.final = final
        features = (1 + bool(index)) * sum((2 * l + 1) * k for l, k in enumerate(self.after))
        kept: dict[str, int] = {"kept": 0} if final else {"x": features}
        self.held = {"scalars": (index + 1) * self.after[0], **kept}

    def __call__(self, before: States, sent: npt.NDArray, around: Surroundings) -> States:
        own = torch.from_numpy(around.own)
        x = self._gated(self._summed(sent, around), before["x"][own])
        scalars = x[0][:, 0, 0]
        if self.index:
            scalars = torch.cat([before["scalars"][own], scalars], dim=1)
        if self.final:
            return {"scalars": scalars, "kept": scalars.new_empty(len(scalars), 0)}
        return {"scalars": scalars, "x": torch.cat([t.flatten(1) for t in x], dim=1)}


def layer_scalars(
    encoder: Pretrained, structure: Structure, layers: int, memory: float | None = None
) -> tuple[torch.Tensor, npt.NDArray[np.int64]]:
    """Scalars of the first ``layers`` layers, not standardised, for every class of equal surroundings.

    The first columns of ``encoder.body(graph)``, evaluated on the CPU within ``memory`` bytes.

    Returns
    -------
    scalars : (C, layers · width) tensor
    classes : (N,) int array
        The class of every atom: ``scalars[classes]`` is what the atoms have.
    """
    s = structure
    stages = [_ScalarsStage(encoder, n, n == layers - 1) for n in range(layers)]
    fast = FastEncoder(encoder, s.numbers, s.positions, s.cell, s.charge, stages=stages)
    result = torch.empty(len(fast.representatives), stages[-1].held["scalars"], dtype=fast.dtype)

    def keep(rows: npt.NDArray[np.int64], features: AtomFeatures) -> None:
        result[torch.from_numpy(rows)] = features.scalars

    fast.run(keep, fast.tiles(memory))
    return result, fast.classes
