"""How well columns that were found agree with those that are there."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.learned.pictures.segment import Segmentation

#: Å within which a column is the one that is there, and pixels from the edge within which nothing is judged.
NEAR, EDGE = 0.5, 4.0
#: Share of sites from which on a column counts as one with a defect.
SHARE = 0.1


@dataclass
class Score:
    """Counts over pictures.

    Parameters
    ----------
    hit, false, missed : int
        Columns found rightly, found where there is none, and not found.
    right : int
        Of those found rightly, with the right species.
    errors : list of (n, 2) arrays
        Place found minus place there, Å.
    sigmas : list of (n, 2) arrays
        Standard deviations stated for these, Å.
    defects : list of (n, 4) arrays
        Of every column found rightly: share of vacancies found and there, of antisites found and there.
    """

    hit: int = 0
    false: int = 0
    missed: int = 0
    right: int = 0
    errors: list[npt.NDArray[Any]] = field(default_factory=list)
    sigmas: list[npt.NDArray[Any]] = field(default_factory=list)
    defects: list[npt.NDArray[Any]] = field(default_factory=list)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.hit / max(2 * self.hit + self.false + self.missed, 1)

    @property
    def precision(self) -> float:
        """Share of the columns found that are there."""
        return self.hit / max(self.hit + self.false, 1)

    @property
    def accuracy(self) -> float:
        """Share of columns found whose species is right."""
        return self.right / max(self.hit, 1)

    @property
    def rms(self) -> float:
        """Root mean square error along an axis in Å."""
        return float(np.sqrt(np.mean(np.concatenate(self.errors) ** 2))) if self.errors else float("nan")

    def coverage(self, sigmas: float = 1.0) -> float:
        """Share of places within so many stated standard deviations."""
        if not self.errors:
            return float("nan")
        ratio = np.abs(np.concatenate(self.errors)) / np.maximum(np.concatenate(self.sigmas), 1e-9)
        return float((ratio <= sigmas).mean())

    def recall(self, what: str, alarms: float = 0.05) -> tuple[float, int]:
        """Share of the columns with a "vacancy" or "antisite" that are found, and their number.

        ``alarms``: share of the columns without one that are taken for such.
        """
        table = np.concatenate(self.defects) if self.defects else np.zeros((0, 4))
        found, there = table[:, 0 if what == "vacancy" else 2], table[:, 1 if what == "vacancy" else 3]
        real = there >= SHARE
        if not real.any() or real.all():
            return float("nan"), int(real.sum())
        return float((found[real] > np.quantile(found[there == 0], 1 - alarms)).mean()), int(real.sum())


def compare(score: Score, found: Segmentation, table: npt.NDArray[Any], pixel: float, shape: tuple[int, ...]) -> None:
    """Add one picture: ``table`` as `rhotem.library.dataset.store.TABLE`, ``pixel`` in Å."""
    from scipy.spatial import cKDTree

    def inside(places: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        return np.asarray(((places >= EDGE) & (places <= np.array(shape[::-1]) - 1 - EDGE)).all(axis=1))

    truth = table[:, :2].astype(float)
    if not len(truth) or not len(found.places):
        score.missed += int(inside(truth).sum()) if len(truth) else 0
        score.false += int(inside(found.places).sum()) if len(found.places) else 0
        return
    distance, nearest = cKDTree(truth).query(found.places)
    back = cKDTree(found.places).query(truth)[1]
    paired = (back[nearest] == np.arange(len(nearest))) & (distance * pixel <= NEAR)
    judged = paired & inside(truth[nearest])
    rows = nearest[judged]
    score.hit += int(judged.sum())
    score.false += int((~paired & inside(found.places)).sum())
    met = np.zeros(len(truth), dtype=bool)
    met[nearest[paired]] = True
    score.missed += int((~met & inside(truth)).sum())
    score.right += int((found.classes[judged].argmax(axis=1) + 1 == table[rows, 2]).sum())
    score.errors.append(pixel * (found.places[judged] - truth[rows]))
    score.sigmas.append(pixel * found.errors[judged])
    shares = [found.vacancy[judged], table[rows, 4], found.antisite[judged], table[rows, 5]]
    score.defects.append(np.stack(shares, axis=1))
