"""Arrangements around training atoms: which to keep, and what distance is usual."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.learned.arrangement import ArrangementBank, Array
from rhotem.learned.novelty import distance_to_nearest

#: Atoms nearer to one that is kept than this share of the usual distance are not kept; at most so many are, 0.8 kB each
ALIKE, MOST = 0.25, 2500


def learn_arrangements(fingerprints: Sequence[Array], folds: Sequence[int]) -> ArrangementBank:
    """A bank from fingerprints of training structures; ``folds``: the part of the parents that each belongs to.

    What is usual are distances from one part to the others.
    """
    fold = np.concatenate([np.full(len(f), k) for f, k in zip(fingerprints, folds, strict=True)])
    x = np.concatenate(fingerprints)
    parts = [k for k in np.unique(fold) if (fold != k).any()]
    left_out = [distance_to_nearest(x[fold == k], x[fold != k]) for k in parts]
    usual = float(np.median(np.concatenate(left_out))) if left_out else 0.0
    return ArrangementBank(x[_unlike(x, ALIKE * usual, MOST)], usual)


def _unlike(points: Array, distance: float, most: int) -> npt.NDArray[np.bool_]:
    """Which of points (N, F) to keep, at most so many, so that every other one has one of these within a distance."""
    kept, square = np.zeros(len(points), dtype=bool), (points**2).sum(1)
    nearest = np.full(len(points), np.inf)
    for _ in range(most):
        new = int(nearest.argmax())  # the farthest from all that are kept
        if nearest[new] <= distance**2:
            break
        kept[new] = True
        nearest = np.minimum(nearest, np.maximum(square + square[new] - 2.0 * points @ points[new], 0.0))
        nearest[new] = -1.0
    return kept
