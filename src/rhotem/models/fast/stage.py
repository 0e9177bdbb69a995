"""What one layer of an encoder is to `rhotem.models.fast.encoder`: from what atoms know to what they know after it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

#: What atoms know between layers: tensors with a row per atom.
States = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A few atoms and their neighbours.

    Parameters
    ----------
    own : (n,) int array
        Rows of the atoms in the states before.
    numbers : (n,) int array
        Their atomic numbers.
    starts : (n + 1,) int array
        Where the edges of every atom start.
    source, others : (E,) int arrays
        Rows of the neighbours, and their atomic numbers.
    vectors : (E, 3) float64 array
        From the atom to the neighbour, Å.
    """

    own: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    source: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float64]


class Stage(Protocol):
    """A layer. ``held``: numbers of an atom in the states after it, by name; ``sent``: numbers that neighbours read."""

    held: dict[str, int]
    sent: int

    def send(self, before: States) -> npt.NDArray:
        """What neighbours read, a row per atom."""
        ...

    def __call__(self, before: States, sent: npt.NDArray, around: Surroundings) -> States:
        """States of some atoms after the layer; of the last one "scalars" and "kept", the features."""
        ...
