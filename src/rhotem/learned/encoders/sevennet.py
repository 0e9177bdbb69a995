"""Interaction layers of SevenNet with pretrained weights, then trained layers that start from what they know.

SevenNet (Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024); code and weights: MIT licence) is a NequIP-type
potential trained on the trajectories of the Materials Project, 89 elements.
`rhotem.training.network.encoders.sevennet` is what was trained; the sums are the same.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.dense import linear
from rhotem.learned.encoders.interaction import CHANNELS, CUTOFF, InteractionStage, ScalarsStage
from rhotem.learned.encoders.nequip import NequipEncoder
from rhotem.learned.encoders.stage import Stage, States
from rhotem.learned.settings import NequipSettings, SevenNetSettings
from rhotem.learned.weights import Weights

#: Elements known.
SPECIES = 89


def trained_settings(settings: SevenNetSettings, nequip: NequipSettings) -> NequipSettings:
    """Sizes of the trained layers on top, which know what the pretrained ones give."""
    channels = CHANNELS[settings.name]
    every = settings.layers if settings.tensors == "all" else 1
    known = {
        "extra": channels[0] * settings.layers,
        "extra_tensors": tuple(k * every for k in channels[1:])[: nequip.lmax],
        "cutoff": CUTOFF,
    }
    return nequip.model_copy(update=known)


class PretrainedEncoder:
    """SevenNet's first layers, and trained ones; see `rhotem.learned.encoders.stage.Encoder`.

    Parameters
    ----------
    settings : SevenNetSettings
    nequip : NequipSettings
        Of the trained layers.
    weights : Weights
        "body", "top", and "mean" and "scale" of what the body gives.
    """

    def __init__(self, settings: SevenNetSettings, nequip: NequipSettings, weights: Weights) -> None:
        self.body, self.mean, self.scale = weights.part("body"), weights["mean"], weights["scale"]
        self.top = NequipEncoder(trained_settings(settings, nequip), weights.part("top"))
        self.pretrained = CHANNELS[settings.name]
        self.layers, self.every = settings.layers, settings.tensors == "all"
        self.cutoff = CUTOFF
        self.receptive_field = settings.layers * CUTOFF + self.top.receptive_field
        self.scalars, self.channels, self.lmax = self.top.scalars, self.top.channels, self.top.lmax
        self.dtype = self.mean.dtype
        self.species = self.body["species"]
        channels, every = self.pretrained, settings.layers if self.every else 1
        known = channels[0] * settings.layers + sum((2 * l + 1) * k * every for l, k in enumerate(channels) if l)
        weights.check({"mean": (known,), "scale": (known,), "body.embedding": (SPECIES, channels[0])})
        if len(self.body.part("layers").numbered) != settings.layers:
            raise ValueError(
                f"pretrained layers: {len(self.body.part('layers').numbered)}, settings say {settings.layers}"
            )
        #: pretrained layers alone
        self.body_stages = [InteractionStage(self, n) for n in range(self.layers)]

    def start(self, numbers: npt.NDArray[np.int64], charge: float) -> States:
        """Features of SevenNet, and what its scalars add up to in the trained layers.

        Raises
        ------
        InputError
            If an element is unknown.
        """
        species = self.species[numbers]
        if len(species) and species.min() < 0:
            z = int(numbers[species.argmin()])
            raise InputError(f"encoder sevennet: element {z} is unknown to it; use a model with another encoder")
        x = self.body["embedding"][species] * self.dtype.type(1.0 / math.sqrt(SPECIES))
        w = self.top.weights
        of_elements = w["start.weight"][:, : self.top.settings.embedding]
        charges = np.full((len(numbers), 1), charge, dtype=self.dtype)
        scalars = self.top.embedding[numbers] @ of_elements.T + w["start.bias"] + linear(w.part("charge"), charges)
        return {"x": x, "scalars": scalars}

    def stages(self) -> Sequence[Stage]:
        """Its layers."""
        return [*self.body_stages, *self.top.stages()]

    def first_scalars(self, layers: int) -> Sequence[Stage]:
        """Stages whose features are the scalars of the first ``layers`` layers as they are, not standardised."""
        chosen = self.body_stages[:layers]
        return [ScalarsStage(stage, stage is chosen[-1]) for stage in chosen]
