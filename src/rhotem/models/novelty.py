"""How unlike everything it was trained on an atom's surroundings are: distances between encoder features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError
from rhotem.models.encoders.sevennet import Pretrained
from rhotem.models.fast.atoms import fast_features, is_fast
from rhotem.models.fast.scalars import layer_scalars
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
        features, classes = class_features(model, structure, memory)
        first = np.unique(classes, return_index=True)[1]
        return self.of_features(features, structure.numbers[first])[classes]

    def of_features(self, features: Array, numbers: Names) -> Array:
        """`novelty` of atoms whose features (N, F) and atomic numbers (N,) are known."""
        result = np.full(len(numbers), UNKNOWN)
        for z, centre in zip(self.known, self.centres, strict=True):
            own = numbers == z
            if own.any():
                distance = _distance((features[own] - centre) @ self.directions, self.features[self.numbers == z])
                result[own] = np.clip(np.log(np.maximum(distance, 1e-12) / self.usual), SMALLEST, LARGEST)
        return result


def of_structure(novelty: Array) -> float:
    """Novelty of a structure from that of its atoms: the upper quartile; `UNKNOWN` if one element is unknown."""
    return UNKNOWN if novelty.max() >= UNKNOWN else float(np.quantile(novelty, SHARE))


def class_features(model: DensityModel, structure: Structure, memory: float | None = None) -> tuple[Array, Names]:
    """Invariants of an atom's surroundings, (C, F), for every class of equal surroundings; and the classes, (N,).

    Of a pretrained encoder the scalars of its first layers: what they say of a chemistry does not depend on whether it
    was trained on. Of others their scalars, which know the lengths of their tensors. Compiled where that is possible,
    then within ``memory`` bytes.
    """
    encoder = model.encoder
    if isinstance(encoder, Pretrained):
        layers = min(LAYERS, len(encoder.body.layers))
        if next(model.parameters()).device.type == "cpu":
            scalars, classes = layer_scalars(encoder, structure, layers, memory)
            return scalars.double().numpy(), classes
    elif is_fast(model):
        fast, features = fast_features(model, structure, memory)
        return features.scalars.double().numpy(), fast.classes
    with torch.no_grad():
        graph = model.graph(structure)
        if isinstance(encoder, Pretrained):
            found = encoder.body(graph)[:, : encoder.body.channels[0] * layers]
        else:
            found = encoder(graph).scalars
    return found.double().cpu().numpy(), np.arange(len(structure))


def atom_features(model: DensityModel, structure: Structure) -> Array:
    """`class_features` of every atom, (N, F)."""
    features, classes = class_features(model, structure)
    return features[classes]


def learn(
    model: DensityModel, structures: Sequence[Structure], parents: Sequence[str], rng: np.random.Generator
) -> NoveltyBank:
    """A bank from training structures.

    Raises
    ------
    InputError
        If there are no structures.
    """
    if not structures:
        raise InputError("novelty: no training structures; give the labels that the model was trained on")
    features = [atom_features(model, s) for s in structures]
    return learn_from_features(features, [s.numbers for s in structures], parents, rng)


def learn_from_features(
    features: Sequence[Array], numbers: Sequence[Names], parents: Sequence[str], rng: np.random.Generator
) -> NoveltyBank:
    """`learn` from features of the atoms of every structure, (N, F) each, and their atomic numbers."""
    names = np.unique(np.array(parents), return_inverse=True)[1]
    owner = np.concatenate([np.full(len(z), name) for z, name in zip(numbers, names, strict=True)])
    x, z = np.concatenate(features), np.concatenate(numbers)
    fold = rng.permutation(np.arange(names.max() + 1) % FOLDS)[owner]
    left_out = [np.zeros(0)]
    for k in range(min(FOLDS, names.max() + 1)):
        others, own = fold != k, fold == k
        if others.any() and own.any():
            directions = _whitened(x[others], z[others])
            left_out.append(nearest_distance(x[own] @ directions, z[own], x[others] @ directions, z[others]))
    distances = np.concatenate(left_out)
    distances = distances[np.isfinite(distances)]
    directions, known = _whitened(x, z), np.unique(z).astype(np.int64)
    kept = np.concatenate([rng.permutation(np.flatnonzero(z == element))[:KEPT] for element in known])
    centres = np.stack([x[z == element].mean(0) for element in known])
    points = (x[kept] - centres[np.searchsorted(known, z[kept])]) @ directions
    usual = float(np.median(distances)) if len(distances) else 1.0  # one parent: whitened distances are of order 1
    return NoveltyBank(known, centres, directions, z[kept].astype(np.int64), points, max(usual, 1e-9))


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
            result[numbers == z] = _distance(points[numbers == z], bank[known == z])
    return result


def _distance(points: Array, bank: Array) -> Array:
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
