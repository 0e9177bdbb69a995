"""Least squares of images: all parameters, gains and offsets together, by the derivatives of the response."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.state import BEND, NAMES, SCALES, State

Array = npt.NDArray[np.float64]

#: Most steps of one fit, and relative changes of parameters and cost at which it ends.
ROUNDS, CHANGE, GAIN = 40, 1e-6, 1e-8
#: Starts are at least this part of the range away from bounds: at one, trust regions shrink to nothing.
INSIDE = 0.1
#: Deviance residuals below this have the slope of their limit.
SMALL = 1e-4
#: Expected electrons of a pixel, and part of an image's mean, below which residuals go on as straight lines.
DARK, FAINT = 0.05, 0.1
#: That where no electron was counted; largest source in Å.
NONE, WIDEST = 1e-4, 3.0


@dataclass(frozen=True, eq=False)
class Fitted:
    """The best state near a start.

    Parameters
    ----------
    state : State
    free : (parameters,) bool array
        Which of all parameters were fitted.
    cost : float
        Half the sum of squares of residuals.
    residual : (images, pixels) array
        In standard deviations.
    slopes : (images · pixels, free) array
    evaluations : int
        Of the model, in all steps.
    """

    state: State
    free: npt.NDArray[np.bool_]
    cost: float
    residual: Array
    slopes: Array
    evaluations: int


class Counted(Protocol):
    """Pixels, and what is known of their noise: `rhotem.experiment.fit.images.Recorded` and the like."""

    @property
    def values(self) -> npt.NDArray[np.floating]:
        """Those of an image."""

    @property
    def counts(self) -> bool:
        """Whether they are electrons."""

    @property
    def noise(self) -> float | None:
        """Standard deviation of those that are not, if known."""


class Noise:
    """What residuals of one image are in units of."""

    def __init__(self, image: Counted) -> None:
        self.measured = np.asarray(image.values, dtype=float).ravel()
        self.counts = image.counts
        most = max(min(DARK, FAINT * float(self.measured.mean())), 1e-9)
        # where nothing was counted the deviance is gentle and holds on to far below; fractions are noise-free images
        self.dark = np.clip(self.measured, min(NONE, most), most)
        known = 1.0 if image.counts else image.noise
        self.sigma = white_noise(np.asarray(image.values, dtype=float)) if known is None else known

    def residual(self, expected: Array) -> tuple[Array, Array]:
        """Residuals in standard deviations, and their slopes by what is expected.

        Of electrons: signed roots of Poisson's deviance (McCullagh & Nelder, Generalized Linear Models, 2.4.3). Where
        hardly any, or less than none, are expected, they go on with the slope that they have there: a start that a
        wrong offset brings below zero comes back, while the deviance itself has no value there and no bound.
        """
        if not self.counts:
            return (expected - self.measured) / self.sigma, np.full_like(expected, 1.0 / self.sigma)
        bright = np.maximum(expected, self.dark)
        some = self.measured > 0
        logarithm = np.zeros_like(bright)
        logarithm[some] = self.measured[some] * np.log(self.measured[some] / bright[some])
        value = np.sign(bright - self.measured) * np.sqrt(2 * np.maximum(logarithm - self.measured + bright, 0.0))
        slope = 1.0 / np.sqrt(bright)
        far = np.abs(value) > SMALL
        slope[far] = (1.0 - self.measured[far] / bright[far]) / value[far]
        return value + slope * np.minimum(expected - self.dark, 0.0), slope


def white_noise(image: Array) -> float:
    """Standard deviation of noise from second differences, which smooth images lack (Immerkær, CVIU 64, 300 (1996))."""
    from scipy.ndimage import convolve

    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    differences = convolve(image, mask, mode="nearest")[1:-1, 1:-1]
    return max(float(np.median(np.abs(differences)) / 0.6745 / 6.0), 1e-12 * float(np.abs(image).max()), 1e-300)


def left(images: Sequence[Counted], excess: float) -> float:
    """Part of what images show beyond noise that a model with residuals of ``excess`` (of the noise's square) leaves.

    0 of the right one, 1 of one that shows nothing.
    """
    means = [(one, np.full(np.size(one.values), float(np.mean(one.values)))) for one in images]
    shown = float(np.mean([np.square(Noise(one).residual(flat)[0]) for one, flat in means])) - 1
    return max(0.0, excess - 1) / shown if shown > 0 else 0.0


def refine(model: Model, start: State, *, fixed: Collection[str] = (), rounds: int = ROUNDS) -> Fitted:
    """Least squares from a start; ``fixed`` names parameters that stay, ``gains`` and ``offsets`` among them."""
    from scipy.optimize import least_squares

    number = len(model.images)
    stays = {*fixed, *(() if model.astigmatism else ("C12a", "C12b"))}
    start = replace(start, nodes=model.between(start))
    names = [*NAMES, *["gains"] * number, *["offsets"] * number, *model.nodes.names]
    free = np.array([name not in stays for name in names])
    low, high = bounds(model)
    room = np.where(free & np.isfinite(high - low), INSIDE * (high - low), 1e-9)
    whole = np.clip(start.whole, low + room, high - room)
    scales = np.concatenate(
        [SCALES, np.maximum(np.abs(start.gains), 1e-12) * 0.05, _levels(model) * 0.05, _spans(model) * 0.1]
    )
    problem = Problem(model, model.images, start, whole, free)
    found = least_squares(
        problem.residual,
        whole[free],
        jac=problem.slopes,
        bounds=(low[free], high[free]),
        x_scale=scales[free],
        max_nfev=rounds,
        xtol=CHANGE,
        ftol=GAIN,
    )
    state = start.from_whole(problem.every(found.x))
    return Fitted(state, free, float(found.cost), found.fun.reshape(number, -1), found.jac, problem.evaluations)


class Problem:
    """Residuals of images and their derivatives as functions of the free parameters, for scans and focal series.

    Parameters
    ----------
    model
        With ``shown(state)`` and ``with_slopes(state)``: expected images, and their derivatives by all parameters.
    images : sequence of Counted
    start
        A state of the model, with ``from_whole``.
    whole, free : (parameters,) arrays
        All parameters, and which of them are fitted.
    """

    def __init__(
        self, model: Any, images: Sequence[Counted], start: Any, whole: Array, free: npt.NDArray[np.bool_]
    ) -> None:
        self.model, self.start, self.whole, self.free = model, start, whole, free
        self.noise = [Noise(image) for image in images]
        self.evaluations = 0

    def every(self, values: Array) -> Array:
        """All parameters."""
        whole = self.whole.copy()
        whole[self.free] = values
        return whole

    def residual(self, values: Array) -> Array:
        """Residuals of all images, one after another."""
        self.evaluations += 1
        expected = self.model.shown(self.start.from_whole(self.every(values)))
        return np.concatenate([n.residual(e)[0] for n, e in zip(self.noise, expected, strict=True)])

    def slopes(self, values: Array) -> Array:
        """Their derivatives, analytic."""
        expected, slopes = self.model.with_slopes(self.start.from_whole(self.every(values)))
        rates = np.stack([n.residual(e)[1] for n, e in zip(self.noise, expected, strict=True)])
        return np.ascontiguousarray((slopes[self.free] * rates).reshape(int(self.free.sum()), -1).T)


def bounds(model: Model) -> tuple[Array, Array]:
    """Least and largest values of all parameters."""
    number = len(model.images)
    held, focus, free = model.response.thicknesses, model.response.range.defocus, np.inf
    largest = model.astigmatism
    axes = model.nodes.axes
    low = [
        held[0],
        focus[0] - 1e-3,
        -largest,
        -largest,
        0.01,
        *[-free] * 6,
        *[-BEND] * 2,
        *[0.0] * number,
        *[-free] * number,
        *(axis.values[0] for axis in axes),
    ]
    high = [
        held[-1],
        focus[1] + 1e-3,
        largest,
        largest,
        WIDEST,
        *[free] * 6,
        *[BEND] * 2,
        *[free] * (2 * number),
        *(axis.values[-1] for axis in axes),
    ]
    for place in (2, 3):
        high[place] += 1e-6
        low[place] -= 1e-6
    return np.array(low), np.array(high)


def _spans(model: Model) -> Array:
    """Ranges of nodes."""
    return np.array([axis.values[-1] - axis.values[0] for axis in model.nodes.axes])


def _levels(model: Model) -> Array:
    """Ranges of the measured images."""
    return np.array([max(float(np.ptp(image.values)), 1e-12) for image in model.images])
