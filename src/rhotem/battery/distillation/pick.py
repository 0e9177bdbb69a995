"""Frames of runs that are worth a label: their neighbourhoods are far from those already known, and from each other."""

from collections.abc import Sequence

import ase
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from rhotem.battery.nep import NepCalculator

#: Of an element, so many neighbourhoods that are known are compared with, evenly taken.
COMPARED = 4000
#: A frame is as new as so many of its atoms: one alone may be a moment's chance.
NEWEST = 3


class Neighbourhoods:
    """Neighbourhoods of atoms as a potential describes them, in units of their spread over frames that are known.

    Parameters
    ----------
    potential : NepCalculator
    known : sequence of ase.Atoms
    """

    def __init__(self, potential: NepCalculator, known: Sequence[ase.Atoms]) -> None:
        self.potential = potential
        numbers, values = self._described(known)
        self.spread = {int(z): np.maximum(values[numbers == z].std(axis=0), 1e-12) for z in np.unique(numbers)}
        self.trees = {z: cKDTree(_few(values[numbers == z] / spread)) for z, spread in self.spread.items()}

    def farthest(self, frames: Sequence[ase.Atoms], count: int) -> list[int]:
        """Which ``count`` frames to take, the newest first: each the farthest from what is known and from those before.

        Of a frame, the mean distance of its `NEWEST` farthest atoms counts; atoms are compared with their own element.
        A frame whose neighbourhoods are all known is not taken.
        """
        described = [self._described([frame]) for frame in frames]
        away = [np.full(len(frame), np.inf) for frame in frames]
        for (numbers, values), distances in zip(described, away, strict=True):
            for z, tree in self.trees.items():
                mine = numbers == z
                distances[mine] = tree.query(values[mine] / self.spread[z])[0]
        chosen: list[int] = []
        while len(chosen) < min(count, len(frames)):
            newness = [float(np.sort(distances)[-NEWEST:].mean()) for distances in away]
            best = int(np.argmax(newness))
            if not newness[best] > 0.0:
                break
            chosen.append(best)
            numbers, values = described[best]
            for (others, theirs), distances in zip(described, away, strict=True):
                for z, spread in self.spread.items():
                    mine = others == z
                    if mine.any() and (numbers == z).any():
                        tree = cKDTree(values[numbers == z] / spread)
                        distances[mine] = np.minimum(distances[mine], tree.query(theirs[mine] / spread)[0])
        return chosen

    def _described(self, frames: Sequence[ase.Atoms]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        values = np.asarray(self.potential.engine.predict_descriptors(list(frames)))
        return np.concatenate([frame.numbers for frame in frames]), values


def _few(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return values[:: max(1, -(-len(values) // COMPARED))]
