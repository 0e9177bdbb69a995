"""How unlike everything it was trained on an atom's surroundings are: distances between encoder features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError
from rhotem.models.graph import build_graph
from rhotem.models.model import DensityModel
from rhotem.models.tensor import part
from rhotem.structure.model import Structure

#: Whitened directions kept, training atoms of an element kept. Many directions: what is new shows in those that hardly
#: vary among the training atoms (with 24 the AUROC falls from 0.96 to 0.7).
DIRECTIONS, KEPT = 64, 300
#: Share of the mean variance added to every variance before whitening.
SHRINKAGE = 0.01
#: Novelty of an element without training atoms: far beyond what distances reach.
UNKNOWN = 10.0

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NoveltyBank:
    """Training atoms in a whitened feature space.

    Parameters
    ----------
    centre : (F,) array
        Mean feature.
    directions : (F, D) array
        Whitened principal directions.
    numbers : (M,) int array
        Atomic numbers of the atoms kept.
    features : (M, D) array
    scale : (119,) array
        By atomic number, the usual distance (median over training atoms, their own parent left out); 0: unknown.
    """

    centre: Array
    directions: Array
    numbers: npt.NDArray[np.int64]
    features: Array
    scale: Array

    def tensors(self) -> dict[str, torch.Tensor]:
        """As stored beside weights."""
        return {
            "novelty.centre": torch.from_numpy(self.centre).float(),
            "novelty.directions": torch.from_numpy(self.directions).float(),
            "novelty.numbers": torch.from_numpy(self.numbers),
            "novelty.features": torch.from_numpy(self.features).float(),
            "novelty.scale": torch.from_numpy(self.scale).float(),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> "NoveltyBank":
        """Back from `tensors`; missing ones raise KeyError."""
        names = ("centre", "directions", "numbers", "features", "scale")
        values = {name: tensors[f"novelty.{name}"].numpy() for name in names}
        return cls(**{k: v if k == "numbers" else v.astype(float) for k, v in values.items()})

    def novelty(self, model: DensityModel, structure: Structure) -> Array:
        """Logarithm of the distance to the nearest training atom of the element, over the usual one; (N,).

        0 is as usual, 1 is e times farther; 10 for elements that were never trained on.
        """
        points = (atom_features(model, structure) - self.centre) @ self.directions
        result = np.full(len(structure), UNKNOWN)
        for z in np.unique(structure.numbers):
            bank = self.features[self.numbers == z]
            if len(bank) and self.scale[z] > 0.0:
                own = structure.numbers == z
                result[own] = np.log(np.maximum(_distance(points[own], bank), 1e-12) / self.scale[z])
        return np.clip(result, -2.0, UNKNOWN)


def atom_features(model: DensityModel, structure: Structure) -> Array:
    """Invariants of an atom's surroundings: the encoder's scalars and the lengths of its tensors by l; (N, F)."""
    parameter = next(model.parameters())
    graph = build_graph(structure.numbers, structure.positions, structure.cell, model.encoder.cutoff, structure.charge)
    with torch.no_grad():
        features = model.encoder(graph.to(parameter.device, parameter.dtype))
        lengths = [features.tensors[:, part(l)].norm(dim=1) for l in range(model.encoder.lmax + 1)]
        return torch.cat([features.scalars, *lengths], dim=1).double().cpu().numpy()


def learn(
    model: DensityModel, structures: Sequence[Structure], parents: Sequence[str], rng: np.random.Generator
) -> NoveltyBank:
    """A bank from training structures; copies of one parent do not count as each other's neighbours.

    Raises
    ------
    InputError
        If there are no structures.
    """
    if not structures:
        raise InputError("novelty: no training structures; give the labels that the model was trained on")
    features = np.concatenate([atom_features(model, s) for s in structures])
    numbers = np.concatenate([s.numbers for s in structures])
    owner = np.concatenate([np.full(len(s), i) for i, s in enumerate(structures)])
    names = np.unique(np.array(parents), return_inverse=True)[1][owner]
    centre = features.mean(0)
    inside = features.copy()
    for z in np.unique(numbers):
        inside[numbers == z] -= features[numbers == z].mean(0)
    spread = inside.std(0)
    # features of very different size: each on its own scale before directions are sought
    size = np.sqrt(spread**2 + SHRINKAGE * np.median(spread) ** 2 + 1e-24)
    covariance = (inside / size).T @ (inside / size) / len(inside)
    values, vectors = np.linalg.eigh(covariance)
    largest = np.argsort(-values)[:DIRECTIONS]
    directions = vectors[:, largest] / np.sqrt(values[largest] + SHRINKAGE * values.mean()) / size[:, None]
    points = (features - centre) @ directions
    scale = np.zeros(119)
    kept: list[npt.NDArray[np.int64]] = []
    for z in np.unique(numbers):
        own = np.flatnonzero(numbers == z)
        chosen = rng.permutation(own)[:KEPT]
        kept.append(chosen)
        others = [_distance(points[[i]], points[own[names[own] != names[i]]])[0] for i in chosen[:100]]
        finite = np.array([d for d in others if np.isfinite(d)])
        scale[z] = np.median(finite) if len(finite) else 1.0  # one parent only: whitened distances are of order 1
    index = np.concatenate(kept)
    return NoveltyBank(centre, directions, numbers[index].astype(np.int64), points[index], scale)


def _distance(points: Array, bank: Array) -> Array:
    """Distance of points (P, D) to the nearest of the bank; inf for an empty one."""
    if not len(bank):
        return np.full(len(points), np.inf)
    from scipy.spatial.distance import cdist

    nearest: Array = cdist(points, bank).min(axis=1)
    return nearest


def auroc(usual: npt.ArrayLike, unusual: npt.ArrayLike) -> float:
    """Probability that an unusual one has the larger score (ties count half): area under the ROC curve."""
    a, b = np.asarray(usual, dtype=float), np.asarray(unusual, dtype=float)
    if not len(a) or not len(b):
        return float("nan")
    return float((b[:, None] > a).mean() + 0.5 * (b[:, None] == a).mean())
