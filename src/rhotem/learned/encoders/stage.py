"""What an encoder and a layer of it are to `rhotem.learned.encoder`: from what atoms know to what they know then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

#: What atoms know between layers: arrays with a row per atom.
States = dict[str, npt.NDArray]


@dataclass(frozen=True, eq=False)
class AtomFeatures:
    """What is known of every atom and its surroundings.

    Parameters
    ----------
    scalars : (N, C) array
        Invariant features.
    tensors : (N, (lmax+1)², K) array
        K channels of spherical tensors, rows l² + l + m, parity (−1)^l.
    """

    scalars: npt.NDArray
    tensors: npt.NDArray


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


class Encoder(Protocol):
    """Trained weights of an encoder.

    ``cutoff``: reach of an edge in Å; ``receptive_field``: distance in Å beyond which nothing matters;
    ``scalars``, ``channels``, ``lmax``: sizes of its features; ``dtype``: its precision.
    """

    cutoff: float
    receptive_field: float
    scalars: int
    channels: int
    lmax: int
    dtype: np.dtype

    def start(self, numbers: npt.NDArray[np.int64], charge: float) -> States:
        """States before the first layer; ``charge`` of the cell per atom, e."""
        ...

    def stages(self) -> Sequence[Stage]:
        """Its layers."""
        ...

    def first_scalars(self, layers: int) -> Sequence[Stage] | None:
        """Stages that only make the scalars of the first pretrained layers; None where there are no such layers."""
        ...
