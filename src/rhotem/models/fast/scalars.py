"""Scalars of the first pretrained layers alone, by the compiled encoder: what novelty looks at."""

import numpy.typing as npt
import torch

from rhotem.models.encoders.sevennet import Pretrained
from rhotem.models.fast.sevennet import SevenNetStage
from rhotem.models.fast.stage import States, Surroundings


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


def scalar_stages(encoder: Pretrained, layers: int) -> list[SevenNetStage]:
    """Stages of `FastEncoder` for the first ``layers`` layers; their features are the scalars, not standardised.

    These are the first columns of ``encoder.body(graph)``; tensors are none.
    """
    return [_ScalarsStage(encoder, n, n == layers - 1) for n in range(layers)]
