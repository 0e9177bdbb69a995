"""Error bars of thermal motion: how far images of other displacements of the same atoms would lie from these.

A simulation sees some displacements of many. Its samples of them are complete passes of the probe, the equal cells of
the block, or, where every κ went through a configuration of its own, one share of the κ sent through a second one. The
scatter of the samples gives perturbations of the mean signals whose mean square is the variance of these; images follow
from perturbed signals as from others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.record import Recorder

Array = npt.NDArray[Any]

#: Passes from which on their scatter alone is taken; before, that of equal cells, which are more.
ENOUGH = 4
#: Samples whose scatter may end a simulation: of fewer it is too often small by chance.
FEWEST = 3
#: Part of the pixels, those farthest from the median of an image, at which its error is stated: columns.
COLUMNS = 0.1


@dataclass(eq=False)
class Samples:
    """Signals of one exit, pass by pass.

    Parameters
    ----------
    recorder : Recorder
        Where passes are summed up.
    shape, repeats : (int, int)
        Probe positions of the scan, and the equal cells that it holds.
    independent : bool
        The atoms of equal cells move independently of each other.
    """

    recorder: Recorder
    shape: tuple[int, int]
    repeats: tuple[int, int]
    independent: bool = True
    passes: list[Array] = field(default_factory=list)
    twin: Array | None = None

    def __post_init__(self) -> None:
        self._before = self._sums().copy()

    @property
    def alone(self) -> bool:
        """Whether one pass has no equal cells to compare."""
        return self.repeats == (1, 1) or not self.independent

    @property
    def number(self) -> int:
        """How many samples would be compared."""
        compared = not self.alone and len(self.passes) < ENOUGH
        return len(self.passes) * (self.repeats[0] * self.repeats[1] if compared else 1)

    def _sums(self) -> Array:
        return self.recorder.sums[:, : len(self.recorder.channels)]

    def _cells(self, sums: Array) -> Array:
        """Signals (cells, positions of one, channels)."""
        (nx, ny), (mx, my) = self.shape, self.repeats
        apart = sums.reshape(mx, nx // mx, my, ny // my, -1).swapaxes(1, 2)
        return np.asarray(apart.reshape(mx * my, (nx // mx) * (ny // my), -1))

    def take(self) -> None:
        """One more pass is complete."""
        sums = self._sums()
        self.passes.append(self._cells(sums - self._before))
        self._before = sums.copy()

    def compare(self, first: Recorder, second: Recorder, others: float) -> None:
        """A share of the κ went through two configurations, and the recorder holds the mean of both.

        ``others`` is the sum of squares of all shares of the beam over the square of this one: variances add up.
        """
        number = len(self.recorder.channels)
        difference = (first.sums - second.sums)[:, :number] / np.sqrt(2)
        self.twin = self._cells(difference).mean(axis=0) * np.sqrt(others - 0.5)

    def mean(self) -> Recorder:
        """Signals of one cell, averaged over cells and passes."""
        return self.recorder.folded(self.shape, self.repeats, len(self.passes))

    def fields(self) -> tuple[Array | None, str]:
        """Perturbations (m, positions, channels) of the mean signals of one cell, and where they come from.

        Their mean square is the variance of the mean. None if there is but one sample.
        """
        if not self.alone and len(self.passes) < ENOUGH:
            samples, how = np.concatenate(self.passes), f"{self.number} equal cells"
        elif len(self.passes) > 1:
            samples, how = np.stack([p.mean(axis=0) for p in self.passes]), f"{len(self.passes)} passes of the probe"
        elif self.twin is not None:
            return self.twin[None], "one share of the kappa in two configurations"
        else:
            return None, "not known from one configuration"
        return (samples - samples.mean(axis=0)) / np.sqrt(len(samples) - 1), how


def image_errors(
    mean: Array, fields: Array, images_of: Callable[[Array], Mapping[str, Array]]
) -> dict[str, dict[str, float]]:
    """Standard errors of images by name, from perturbations of the mean signals.

    Parameters
    ----------
    mean : (positions, channels) array
    fields : (m, positions, channels) array
        As `Samples.fields`.
    images_of : callable
        Images from signals.

    Returns
    -------
    dict
        ``at_columns``, in the unit of the image: root mean square over `COLUMNS` of the pixels, those farthest from
        its median, and ``everywhere``; ``of_range`` and ``mean_of_range`` are both over the range of the image.
    """
    images = images_of(mean)
    variances = {name: np.zeros_like(image, dtype=float) for name, image in images.items()}
    for perturbation in fields:
        above, below = images_of(mean + perturbation), images_of(mean - perturbation)
        for name, variance in variances.items():
            variance += ((above[name] - below[name]) / 2) ** 2 / len(fields)
    return {name: error_of(image, variances[name]) for name, image in images.items()}


def error_of(image: Array, variance: Array) -> dict[str, float]:
    """One row of `image_errors`: the error of an image from the variance of every pixel."""
    far = np.abs(image - np.median(image))
    columns = far >= np.quantile(far, 1 - COLUMNS)
    span = float(np.ptp(image))
    at, everywhere = float(np.sqrt(variance[columns].mean())), float(np.sqrt(variance.mean()))
    row = {"at_columns": at, "everywhere": everywhere}
    return row | ({"of_range": at / span, "mean_of_range": everywhere / span} if span > 0 else {})
