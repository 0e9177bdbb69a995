"""How unlike everything it was trained on an atom's surroundings are: distances between encoder features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.learned.coefficients import class_features
from rhotem.learned.encoder import FastEncoder
from rhotem.learned.model import LearnedModel
from rhotem.structure.model import Structure

#: Interaction layers of a pretrained encoder whose scalars are looked at. The first two see 10 Å and tell chemistries
#: apart; the deeper ones, trained to predict energies, make unlike surroundings alike (docs/uncertainty.md).
LAYERS = 2
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

    def arrays(self) -> dict[str, npt.NDArray]:
        """As stored beside weights; features, the most of it, in 16 bits: they are small, distances change by 1e-3."""
        return {
            "novelty.known": self.known.astype(np.uint8),
            "novelty.centres": self.centres.astype(np.float32),
            "novelty.directions": self.directions.astype(np.float32),
            "novelty.numbers": self.numbers.astype(np.uint8),
            "novelty.features": self.features.astype(np.float16),
            "novelty.usual": np.array([self.usual]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray]) -> "NoveltyBank":
        """Back from `arrays`; missing ones raise KeyError."""
        centres, directions, features = (
            arrays[f"novelty.{name}"].astype(float) for name in ("centres", "directions", "features")
        )
        known, numbers = (arrays[f"novelty.{name}"].astype(np.int64) for name in ("known", "numbers"))
        return cls(known, centres, directions, numbers, features, float(arrays["novelty.usual"][0]))

    @property
    def elements(self) -> set[int]:
        """Atomic numbers that there are training atoms of."""
        return set(self.known.tolist())

    def novelty(self, model: LearnedModel, structure: Structure, memory: float | None = None) -> Array:
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
                result[own] = logarithm(distance, self.usual)
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
    model: LearnedModel, structure: Structure, visit: Visitor, memory: float | None = None
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
    stages = None if model.encoder is None else model.encoder.first_scalars(LAYERS)
    if model.encoder is not None and stages is not None:
        fast = FastEncoder(
            model.encoder, structure.numbers, structure.positions, structure.cell, structure.charge, stages=stages
        )
        fast.run(lambda rows, found: visit(fast.representatives[rows], found.scalars.astype(float)), fast.tiles(memory))
        return fast.classes, fast.representatives
    own = model.readout.features(structure)
    if own is None:
        fast, features = class_features(model, structure, memory)
        visit(fast.representatives, features.scalars.astype(float))
        return fast.classes, fast.representatives
    atoms = np.arange(len(structure))
    visit(atoms, own)
    return atoms, atoms


def atom_features(model: LearnedModel, structure: Structure) -> Array:
    """What `visit_features` tells of every atom, (N, F)."""
    found: list[tuple[Names, Array]] = []
    classes, first = visit_features(model, structure, lambda atoms, x: found.append((atoms, x)))
    features = np.empty((len(structure), found[0][1].shape[1]))
    for atoms, own in found:
        features[atoms] = own
    return features[first][classes]


def distance_to_nearest(points: Array, bank: Array) -> Array:
    """Distance of points (P, D) to the nearest of the bank (M, D)."""
    from scipy.spatial.distance import cdist

    nearest: Array = cdist(points, bank).min(axis=1)
    return nearest


def logarithm(distance: Array, usual: float) -> Array:
    """Novelty of a distance."""
    return np.clip(np.log(np.maximum(distance, 1e-12) / usual), SMALLEST, LARGEST)
