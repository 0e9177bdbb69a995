"""Sizes and orders of SevenNet-0's five convolutions: which path reads and writes which numbers."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rhotem.learned.couplings import coupling, part, size
from rhotem.learned.encoders.interaction import CHANNELS, convolution_paths

#: Channels of l = 0, 1, 2.
WIDTHS = CHANNELS["sevennet-0"]
LMAX = len(WIDTHS) - 1
#: Where the features of l = 0, 1, 2 of an atom start, [m, K] each, and their number.
STARTS = (0, WIDTHS[0], WIDTHS[0] + 3 * WIDTHS[1])
FEATURES = STARTS[2] + 5 * WIDTHS[2]
#: Kinds of convolution: the first one reads scalars only, the last one makes scalars only.
FIRST, MIDDLE, LAST = 0, 1, 2


class Step(NamedTuple):
    """A path l1 ⊗ l2 -> l3 of a convolution.

    ``channels``: those of l1; ``weights``: its first radial weight; ``matrix``: its first number in an edge's matrices,
    [m3, m1]; ``first``: its first channel among those summed to l3; ``couplings``: [m1, m2, m3].
    """

    l1: int
    l2: int
    l3: int
    channels: int
    weights: int
    matrix: int
    first: int
    couplings: npt.NDArray[np.float64]


class Convolution(NamedTuple):
    """``steps`` of a kind; ``summed``: channels by l3; ``weights``: radial weights.

    ``matrix`` (9, …): from harmonics to the matrices of an edge.
    """

    steps: tuple[Step, ...]
    summed: tuple[int, ...]
    weights: int
    matrix: npt.NDArray[np.float64]


@lru_cache
def convolution(kind: int) -> Convolution:
    """The convolution of a kind."""
    before = WIDTHS[:1] if kind == FIRST else WIDTHS
    highest = 0 if kind == LAST else LMAX
    steps, columns, summed, weights, at = [], [], [0] * (highest + 1), 0, 0
    for l1, l2, l3 in convolution_paths(before, LMAX):
        if l3 > highest:
            continue
        table = coupling(l1, l2, l3)
        steps.append(Step(l1, l2, l3, before[l1], weights, at, summed[l3], table))
        padded = np.zeros((size(LMAX), (2 * l1 + 1) * (2 * l3 + 1)))
        padded[part(l2)] = table.transpose(1, 2, 0).reshape(2 * l2 + 1, -1)
        columns.append(padded)
        summed[l3] += before[l1]
        weights += before[l1]
        at += padded.shape[1]
    return Convolution(tuple(steps), tuple(summed), weights, np.concatenate(columns, axis=1))
