"""Errors of a fit of images: noise, what the model lacks, and detectors that are not quite what they are said to be."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.refine import Fitted, Noise, refine
from rhotem.experiment.fit.images.state import State, affine
from rhotem.experiment.fit.posterior import normal, sandwich

Array = npt.NDArray[np.float64]

#: Distance in Å over which residuals go together.
TOGETHER = 2.0


def covariance(model: Model, fitted: Fitted) -> Array:
    """Covariance of all parameters (as `State.whole`), 0 where they stayed.

    That of the normal equations where residuals are noise. Where they are larger, H⁻¹ (JᵀΣJ) H⁻¹ with Σ the
    autocovariance of the residuals, image by image (`rhotem.experiment.fit.posterior`), if that is more. What doubts of
    detectors shift is added.
    """
    free = np.ix_(fitted.free, fitted.free)
    result = np.zeros((len(fitted.free), len(fitted.free)))
    together = TOGETHER / float(np.sqrt(abs(np.linalg.det(affine(fitted.state)))))
    result[free] = sandwich(fitted.slopes, fitted.residual, model.shape, together)
    inverse = normal(fitted.slopes)
    for shift in _shifts(model, fitted, inverse):
        result[free] += np.outer(shift, shift)
    return result


def displaced(model: Model, fitted: Fitted, fixed: Collection[str] = ()) -> Array:
    """Covariance that displacements and arrangements of atoms make: of the mean over all draws; 0 of a single one."""
    draws = model.nodes.draws
    if len(draws) < 2:
        return np.zeros((len(fitted.free), len(fitted.free)))
    found = [refine(Model(one, model.images), fitted.state, fixed=fixed).state.whole for one in draws]
    return of_mean(np.array(found))


def of_mean(found: Array) -> Array:
    """Covariance of the mean of a few draws (draws, values), so wide that one standard deviation holds 68 % of means.

    The scatter of three draws is itself uncertain: Student's t makes their intervals 1.32 times as long as a normal
    distribution would.
    """
    number = len(found)
    longer = stdtrit(number - 1, ndtr(1.0))
    return np.asarray(longer**2 * np.cov(found, rowvar=False) / number)


def changes_of_doubts(model: Model, state: State) -> dict[int, Array]:
    """What one standard error of a doubtful detector changes of its image (pixels,), by the place of the image."""
    shown, changes = model.shown(state), {}
    for place, one in enumerate(model.images):
        if one.doubt is not None:
            images = list(model.images)
            images[place] = replace(one, detector=one.doubt, doubt=None)
            changes[place] = Model(model.nodes, images).shown(state)[place] - shown[place]
    return changes


def _shifts(model: Model, fitted: Fitted, inverse: Array) -> list[Array]:
    """What every doubt of a detector shifts the free parameters by."""
    shown, found = model.shown(fitted.state), []
    for place, other in changes_of_doubts(model, fitted.state).items():
        change = np.zeros_like(fitted.residual)
        change[place] = Noise(model.images[place]).residual(shown[place])[1] * other
        found.append(inverse @ (fitted.slopes.T @ change.ravel()))
    return found
