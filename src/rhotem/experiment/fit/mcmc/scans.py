"""The posterior of a fit of scanned images: gains, offsets and inner angles of detectors are nuisance parameters."""

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.images.errors import TOGETHER, changes_of_doubts
from rhotem.experiment.fit.images.fit import ImageFit
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.refine import Problem, bounds
from rhotem.experiment.fit.images.state import NAMES, UNITS, affine
from rhotem.experiment.fit.mcmc.target import Mode, Target, around
from rhotem.experiment.fit.posterior import magnitude

Array = npt.NDArray[np.float64]

#: Doubts of detectors are standard normal; this far out nothing is.
FARTHEST = 8.0
#: Most steps to a minimum, how often one is halved, and what another may gain where they end, of ln posterior.
ROUNDS, HALVED, LEFT = 20, 6, 1e-3
#: No nuisance parameters.
SHOWN = ("thickness", "defocus", "C12a", "C12b", "source_size")


def target_of_images(fit: ImageFit) -> Target:
    """−ln posterior of all parameters that were fitted, and of how far every doubtful detector is off.

    What a wrong inner angle changes is taken at the best state, times the number of its standard errors. Costs are
    divided by what residuals beyond noise do to the variance of the thickness, so that samples are as wide as the
    covariance of the fit; displacements of atoms are not sampled.
    """
    model, free, names = fit.model, fit.best.free, _names(fit.model)
    changes = changes_of_doubts(model, fit.state)
    together = TOGETHER / float(np.sqrt(abs(np.linalg.det(affine(fit.state)))))
    unit = magnitude(fit.best.slopes, fit.best.residual, model.shape, together)
    low, high = (one[free] for one in bounds(model))
    far = np.full(len(changes), FARTHEST)
    low, high = np.concatenate([low, -far]), np.concatenate([high, far])
    cost = ScanCost(fit, changes, unit)
    modes = []
    for state, chance in fit.minima:
        values = np.clip(np.concatenate([state.whole[free], np.zeros(len(changes))]), low, high)
        values = cost.least(values, low, high) if changes else values
        modes.append(Mode(values, around(cost.slopes(values), low, high), chance))
    units = [*UNITS, *[""] * (2 * len(model.images)), *(axis.unit for axis in model.nodes.axes)]
    kept = np.flatnonzero(free)
    doubted = [f"angle of {model.images[place].name}" for place in changes]
    return Target(
        (*(names[n] for n in kept), *doubted),
        (*(units[n] for n in kept), *["standard errors"] * len(doubted)),
        low,
        high,
        cost,
        tuple(modes),
        tuple(name for name in (*SHOWN, *model.nodes.names) if name in {names[n] for n in kept}),
        unit,
    )


class ScanCost:
    """−ln posterior of images as a function of free parameters and doubts.

    Parameters
    ----------
    fit : ImageFit
    changes : dict
        Place of an image -> what one standard error of its detector's angle changes (pixels,).
    unit : float
    """

    def __init__(self, fit: ImageFit, changes: dict[int, Array], unit: float) -> None:
        self.problem = Problem(fit.model, fit.model.images, fit.state, fit.state.whole, fit.best.free)
        self.noise, self.changes, self.unit = self.problem.noise, changes, unit
        self.number = int(fit.best.free.sum())

    def _expected(self, values: Array) -> Array:
        problem = self.problem
        shown = problem.model.shown(problem.start.from_whole(problem.every(values[: self.number])))
        for doubt, (place, change) in zip(values[self.number :], self.changes.items(), strict=True):
            shown[place] += doubt * change
        return np.asarray(shown)

    def __call__(self, values: Array) -> float:
        """At values of the free parameters and doubts."""
        return 0.5 * float((self.residual(values) ** 2).sum())

    def residual(self, values: Array) -> Array:
        """Of all images, then the doubts: half the sum of their squares is the cost."""
        pairs = zip(self.noise, self._expected(values), strict=True)
        images = [noise.residual(one)[0] for noise, one in pairs]
        return np.concatenate([np.concatenate(images) / np.sqrt(self.unit), values[self.number :]])

    def slopes(self, values: Array) -> Array:
        """Derivatives (residuals, p) of `residual`."""
        slopes = self.problem.slopes(values[: self.number]) / np.sqrt(self.unit)
        expected, number = self._expected(values), len(self.changes)
        columns = np.zeros((number, *expected.shape))
        for column, (place, change) in zip(columns, self.changes.items(), strict=True):
            column[place] = self.noise[place].residual(expected[place])[1] * change / np.sqrt(self.unit)
        whole = np.concatenate([slopes, columns.reshape(number, expected.size).T], axis=1)
        priors = np.concatenate([np.zeros((number, self.number)), np.eye(number)], axis=1)
        return np.concatenate([whole, priors])

    def least(self, values: Array, low: Array, high: Array) -> Array:
        """The minimum near values within bounds: a fit knows no doubts, which may move it by several errors."""
        cost = self(values)
        for _ in range(ROUNDS):
            slopes = self.slopes(values)
            downhill = slopes.T @ self.residual(values)
            step = around(slopes, low, high) @ downhill
            if downhill @ step < LEFT:
                break
            shorter = (np.clip(values - step / 2**n, low, high) for n in range(HALVED))
            lower = next(((one, found) for one in shorter if (found := self(one)) < cost), None)
            if lower is None:
                break
            values, cost = lower
        return values


def _names(model: Model) -> list[str]:
    """Of all parameters as `State.whole`."""
    each = [f"{what} of {one.name}" for what in ("gain", "offset") for one in model.images]
    return [*NAMES, *each, *model.nodes.names]
