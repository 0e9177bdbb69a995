"""How unlike everything it was trained on an atom's surroundings are: distances between encoder features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError
from rhotem.models.encoders.sevennet import Pretrained
from rhotem.models.fast.atoms import fast_features, is_fast
from rhotem.models.fast.encoder import FastEncoder
from rhotem.models.fast.scalars import scalar_stages
from rhotem.models.model import DensityModel
from rhotem.structure.model import Structure

#: Interaction layers of a pretrained encoder whose scalars are looked at. The first two see 10 Å and tell chemistries
#: apart; the deeper ones, trained to predict energies, make unlike surroundings alike (docs/uncertainty.md).
LAYERS = 2
#: Training atoms of an element kept.
KEPT = 200
#: Share of the mean variance added to every variance before whitening.
SHRINKAGE = 0.001
#: Parts of the training parents, each measured against the others: what distance is usual for a new parent.
FOLDS = 5
#: Share of the atoms of a structure that are less novel than the structure.
SHARE = 0.75
#: Novelty of an element without training atoms, and the largest and smallest that a distance gives.
UNKNOWN, LARGEST, SMALLEST = 10.0, 9.0, -2.0

Array = npt.NDArray[np.float64]
Names = npt.NDArray[np.int64]
Visitor = Callable[[Names, Array], None]


@dataclass(frozen=True, eq=False)
class NoveltyBank:
    """Training atoms in a whitened feature space.

    Parameters
    ----------
    known : (E,) int array
        Atomic numbers of the elements trained on.
    centres : (E, F) array
        Their mean features.
    directions : (F, F) array
        Whitened principal directions: distances are those of Mahalanobis, with the covariance around the mean of the
        element.
    numbers : (M,) int array
        Atomic numbers of the atoms kept.
    features : (M, F) array
        From the centre of the element, along the directions.
    usual : float
        Median distance of atoms of parents that were left out of all this.
    """

    known: Names
    centres: Array
    directions: Array
    numbers: Names
    features: Array
    usual: float

    def tensors(self) -> dict[str, torch.Tensor]:
        """As stored beside weights; features, the most of it, in 16 bits: they are small, distances change by 1e-3."""
        return {
            "novelty.known": torch.from_numpy(self.known).to(torch.uint8),
            "novelty.centres": torch.from_numpy(self.centres).float(),
            "novelty.directions": torch.from_numpy(self.directions).float(),
            "novelty.numbers": torch.from_numpy(self.numbers).to(torch.uint8),
            "novelty.features": torch.from_numpy(self.features).half(),
            "novelty.usual": torch.tensor([self.usual]).double(),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> "NoveltyBank":
        """Back from `tensors`; missing ones raise KeyError."""
        centres, directions, features = (
            tensors[f"novelty.{name}"].numpy().astype(float) for name in ("centres", "directions", "features")
        )
        known, numbers = (tensors[f"novelty.{name}"].long().numpy() for name in ("known", "numbers"))
        return cls(known, centres, directions, numbers, features, float(tensors["novelty.usual"][0]))

    @property
    def elements(self) -> set[int]:
        """Atomic numbers that there are training atoms of."""
        return set(self.known.tolist())

    def novelty(self, model: DensityModel, structure: Structure, memory: float | None = None) -> Array:
        """Logarithm of the distance to the nearest training atom of the element, over the usual one; (N,).

        0 is as usual, 1 is e times farther; 10 for elements that were never trained on. ``memory``: bytes that the
        encoder may take.
        """
        result = np.empty(len(structure))
        classes, first = visit_features(
            model,
            structure,
            lambda atoms, x: np.put(result, atoms, self.of_features(x, structure.numbers[atoms])),
            memory,
        )
        return result[first][classes]

    def of_features(self, features: Array, numbers: Names) -> Array:
        """`novelty` of atoms whose features (N, F) and atomic numbers (N,) are known."""
        result = np.full(len(numbers), UNKNOWN)
        for z, centre in zip(self.known, self.centres, strict=True):
            own = numbers == z
            if own.any():
                distance = distance_to_nearest(
                    (features[own] - centre) @ self.directions, self.features[self.numbers == z]
                )
                result[own] = _logarithm(distance, self.usual)
        return result


def of_structure(novelty: Array, arrangement: Array | None = None) -> float:
    """Out-of-distribution score of a structure from the novelty of its atoms, and from that of their arrangement.

    The upper quartile, plus the median of the arrangement; `UNKNOWN` if one element is unknown.
    """
    if novelty.max() >= UNKNOWN:
        return UNKNOWN
    known = 0.0 if arrangement is None else float(np.median(arrangement))
    return float(np.quantile(novelty, SHARE)) + known


def visit_features(
    model: DensityModel, structure: Structure, visit: Visitor, memory: float | None = None
) -> tuple[Names, Names]:
    """Call ``visit(atoms, features)`` with invariants (n, F) of the surroundings of a few atoms at a time.

    Of a pretrained encoder the scalars of its first layers: what they say of a chemistry does not depend on whether it
    was trained on. Of others their scalars, which know the lengths of their tensors. Compiled where that is possible,
    then for one atom of every class of equal surroundings, within ``memory`` bytes and from several threads.

    Returns
    -------
    classes : (N,) int array
        Of every atom.
    atoms : (C,) int array
        The atom of every class that was visited.
    """
    encoder = model.encoder
    layers = min(LAYERS, len(encoder.body.layers)) if isinstance(encoder, Pretrained) else 0
    if layers and next(model.parameters()).device.type == "cpu":
        fast = FastEncoder(
            encoder, structure.numbers, structure.positions, structure.cell, structure.charge,
            stages=scalar_stages(encoder, layers),
        )  # fmt: skip
        fast.run(
            lambda rows, found: visit(fast.representatives[rows], found.scalars.double().numpy()), fast.tiles(memory)
        )
        return fast.classes, fast.representatives
    if is_fast(model):
        fast, features = fast_features(model, structure, memory)
        visit(fast.representatives, features.scalars.double().numpy())
        return fast.classes, fast.representatives
    with torch.no_grad():
        graph = model.graph(structure)
        found = encoder.body(graph)[:, : encoder.body.channels[0] * layers] if layers else encoder(graph).scalars
    atoms = np.arange(len(structure))
    visit(atoms, found.double().cpu().numpy())
    return atoms, atoms


def atom_features(model: DensityModel, structure: Structure) -> Array:
    """What `visit_features` tells of every atom, (N, F)."""
    found: list[tuple[Names, Array]] = []
    classes, first = visit_features(model, structure, lambda atoms, x: found.append((atoms, x)))
    features = np.empty((len(structure), found[0][1].shape[1]))
    for atoms, own in found:
        features[atoms] = own
    return features[first][classes]


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
    return bank, np.split(_logarithm(left_out, usual), np.cumsum([len(own) for own in numbers])[:-1])


def parts(parents: Sequence[str], rng: np.random.Generator) -> Names:
    """A part of `FOLDS` for every structure; those of one parent are in one part."""
    names = np.unique(np.array(parents), return_inverse=True)[1]
    chosen: Names = rng.permutation(np.arange(names.max() + 1) % FOLDS)[names]
    return chosen


def _logarithm(distance: Array, usual: float) -> Array:
    """Novelty of a distance."""
    return np.clip(np.log(np.maximum(distance, 1e-12) / usual), SMALLEST, LARGEST)


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


def distance_to_nearest(points: Array, bank: Array) -> Array:
    """Distance of points (P, D) to the nearest of the bank (M, D)."""
    from scipy.spatial.distance import cdist

    nearest: Array = cdist(points, bank).min(axis=1)
    return nearest


def auroc(usual: npt.ArrayLike, unusual: npt.ArrayLike) -> float:
    """Probability that an unusual one has the larger score (ties count half): area under the ROC curve."""
    a, b = np.asarray(usual, dtype=float), np.asarray(unusual, dtype=float)
    if not len(a) or not len(b):
        return float("nan")
    return float((b[:, None] > a).mean() + 0.5 * (b[:, None] == a).mean())
