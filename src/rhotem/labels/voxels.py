"""Choosing voxels of a label: uniform ones and ones where the density is deformed, each with its statistical weight."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Share of voxels chosen uniformly; the rest follow |Δn| (bonds and nuclei), where there is something to learn.
UNIFORM = 0.5


@dataclass(frozen=True, eq=False)
class Selection:
    """Voxels of a grid.

    Parameters
    ----------
    index : (n,) int32 array
        Flat C-order indices, increasing, no repeats.
    weight : (n,) float32 array
        Voxels of the whole grid that one stands for (1/inclusion probability): Σ weight·f estimates Σ f over the grid.
    """

    index: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]


def choose(deformation: npt.NDArray, count: int, rng: np.random.Generator) -> Selection:
    """About ``count`` voxels, each taken independently with a probability that mixes uniform and ∝ |Δn|.

    Independent (Poisson) sampling makes the weights exact; resolution stays that of the grid.
    """
    size = np.abs(deformation.astype(np.float64)).ravel()
    if count >= len(size):
        return Selection(np.arange(len(size), dtype=np.int32), np.ones(len(size), dtype=np.float32))
    shape = UNIFORM / len(size) + (1 - UNIFORM) * size / max(size.sum(), 1e-30)
    probability = np.minimum(1.0, count * shape)
    for _ in range(5):  # what is cut off at 1 goes to the others
        free = probability < 1.0
        missing = count - (~free).sum()
        probability = np.where(free, np.minimum(1.0, shape * missing / shape[free].sum()), 1.0)
    index = np.flatnonzero(rng.random(len(size)) < probability)
    return Selection(index.astype(np.int32), (1.0 / probability[index]).astype(np.float32))
