"""What is known of training atoms: features whitened, and the distances that are usual for a new parent."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.learned.novelty import Array, Names, NoveltyBank, distance_to_nearest, logarithm

#: Training atoms of an element kept.
KEPT = 200
#: Share of the mean variance added to every variance before whitening.
SHRINKAGE = 0.001
#: Parts of the training parents, each measured against the others: what distance is usual for a new parent.
FOLDS = 5


def learn_from_features(
    features: Sequence[Array], numbers: Sequence[Names], parents: Sequence[str], rng: np.random.Generator
) -> tuple[NoveltyBank, list[Array]]:
    """A bank from features of the atoms of every training structure, (N, F) each, and their atomic numbers.

    Beside the bank the novelty of the atoms of every structure as if its parent, with others, were not known.

    Raises
    ------
    InputError
        If there are no structures.
    """
    if not features:
        raise InputError("novelty: no training structures; give the labels that the model was trained on")
    folds = parts(parents, rng)
    fold = np.concatenate([np.full(len(z), k) for z, k in zip(numbers, folds, strict=True)])
    x, z = np.concatenate(features), np.concatenate(numbers)
    left_out = np.full(len(x), np.inf)
    for k in np.unique(fold):
        others, own = fold != k, fold == k
        if others.any():
            directions = _whitened(x[others], z[others])
            left_out[own] = nearest_distance(x[own] @ directions, z[own], x[others] @ directions, z[others])
    finite = left_out[np.isfinite(left_out)]
    usual = max(float(np.median(finite)) if len(finite) else 1.0, 1e-9)  # one parent: whitened, of order 1
    directions, known = _whitened(x, z), np.unique(z).astype(np.int64)
    kept = np.concatenate([rng.permutation(np.flatnonzero(z == element))[:KEPT] for element in known])
    centres = np.stack([x[z == element].mean(0) for element in known])
    points = (x[kept] - centres[np.searchsorted(known, z[kept])]) @ directions
    bank = NoveltyBank(known, centres, directions, z[kept].astype(np.int64), points, usual)
    return bank, np.split(logarithm(left_out, usual), np.cumsum([len(own) for own in numbers])[:-1])


def parts(parents: Sequence[str], rng: np.random.Generator) -> Names:
    """A part of `FOLDS` for every structure; those of one parent are in one part."""
    names = np.unique(np.array(parents), return_inverse=True)[1]
    chosen: Names = rng.permutation(np.arange(names.max() + 1) % FOLDS)[names]
    return chosen


def _whitened(features: Array, numbers: Names) -> Array:
    """Directions (F, F) along which the spread of features (N, F) around the mean of their element is 1."""
    inside = features.copy()
    for z in np.unique(numbers):
        inside[numbers == z] -= features[numbers == z].mean(0)
    spread = inside.std(0)
    # features of very different size: each on its own scale before directions are sought
    size = np.sqrt(spread**2 + SHRINKAGE * np.median(spread) ** 2 + 1e-24)
    values, vectors = np.linalg.eigh((inside / size).T @ (inside / size) / len(inside))
    # without any spread (one atom per element) every direction counts alike
    variance = np.maximum(values, 0.0) + max(SHRINKAGE * float(values.mean()), 1e-12)
    directions: Array = vectors / np.sqrt(variance) / size[:, None]
    return directions


def nearest_distance(points: Array, numbers: Names, bank: Array, known: Names) -> Array:
    """Distance of points (P, D) to the nearest of the bank (M, D) of the same element; inf where there is none."""
    result = np.full(len(points), np.inf)
    for z in np.unique(numbers):
        if (known == z).any():
            result[numbers == z] = distance_to_nearest(points[numbers == z], bank[known == z])
    return result


def auroc(usual: npt.ArrayLike, unusual: npt.ArrayLike) -> float:
    """Probability that an unusual one has the larger score (ties count half): area under the ROC curve."""
    a, b = np.asarray(usual, dtype=float), np.asarray(unusual, dtype=float)
    if not len(a) or not len(b):
        return float("nan")
    return float((b[:, None] > a).mean() + 0.5 * (b[:, None] == a).mean())
