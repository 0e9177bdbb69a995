"""What a network of pictures learns from: shards as they are kept, and what a step of training sees of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError

#: Maps that the network is trained on, in the order of `Batch.maps`; after them that of pixels that count.
MAPS = ("columns", "species", "vacancy", "antisite")


class Shard(Protocol):
    """Some pictures with their labels (`rhotem.library.dataset.store.Shard`)."""

    def read(self) -> tuple[dict[str, npt.NDArray[Any]], list[dict[str, Any]]]:
        """Arrays (pictures, rows, columns) by name, and the settings of every picture."""


class Read(NamedTuple):
    """What a network sees of the pictures of a shard, and what it should say.

    Parameters
    ----------
    images : (n, [pictures,] rows, columns) array
    maps : (n, maps, rows, columns) array
    numbers : (n, numbers) array
        Of whole pictures; each becomes a plane behind the pictures.
    """

    images: npt.NDArray[Any]
    maps: npt.NDArray[Any]
    numbers: npt.NDArray[Any]

    @classmethod
    def without_numbers(cls, images: npt.NDArray[Any], maps: npt.NDArray[Any]) -> "Read":
        """Pictures of which nothing else is known."""
        return cls(images, maps, np.zeros((len(images), 0), dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures for one step.

    Parameters
    ----------
    image : (n, inputs, rows, columns) float tensor
        Normalised.
    maps : (n, maps, rows, columns) tensor
        What should come out; of columns `MAPS`, 8 bits.
    """

    image: torch.Tensor
    maps: torch.Tensor

    def __len__(self) -> int:
        return len(self.image)


def needed(arrays: Mapping[str, Any], names: Sequence[str], recipe: str) -> None:
    """Refuse a shard without the maps of a recipe.

    Raises
    ------
    InputError
    """
    lacking = [name for name in names if name not in arrays]
    if lacking:
        raise InputError(f"pictures have no maps {', '.join(lacking)}; train on a data set of the recipe {recipe}")
