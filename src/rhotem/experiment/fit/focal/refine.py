"""Least squares of a focal series by exact derivatives."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.focal.model import Model
from rhotem.experiment.fit.focal.state import EACH, NAMES, SCALES, FocalState
from rhotem.experiment.fit.images.refine import Problem

Array = npt.NDArray[np.float64]

#: Most steps of one fit, and relative changes of parameters and cost at which it ends.
ROUNDS, CHANGE, GAIN = 40, 1e-7, 1e-9
#: Starts are at least this part of the range away from bounds.
INSIDE = 0.02
#: Standard deviations from which residuals of what is not counted are outliers.
OUTLIER = 3.0
#: Largest focal spread and blur in Å; part by which steps of focus may differ from the stated ones.
WIDEST, BLURRED, STEP = 150.0, 2.0, 0.25


@dataclass(frozen=True, eq=False)
class Refined:
    """The best state near a start.

    Parameters
    ----------
    state : FocalState
    free : (parameters,) bool array
        Which of all parameters were fitted.
    cost : float
        −ln likelihood above that of a perfect model: half the sum of squares, outliers counted less.
    residual : (images, pixels) array
        In standard deviations.
    slopes : (images · pixels, free) array
    """

    state: FocalState
    free: npt.NDArray[np.bool_]
    cost: float
    residual: Array
    slopes: Array


def bounds(model: Model) -> tuple[Array, Array]:
    """Least and largest values of all parameters."""
    limits, held, number = model.limits, model.pairs.held.thicknesses, len(model.photos)
    most = limits.astigmatism
    free = np.inf
    low = [held[0], limits.defocus[0], 1 - STEP, limits.cs[0], -most, -most, limits.least_spread, 0.0, *[-free] * 4]
    high = [held[-1], limits.defocus[1], 1 + STEP, limits.cs[1], most, most, WIDEST, BLURRED, *[free] * 4]
    slack = 1e-9 * SCALES
    each_low, each_high = [-free, -free, 0.0, -free], [free] * 4
    return np.array([*(low - slack), *each_low * number]), np.array([*(high + slack), *each_high * number])


def stays(model: Model, fixed: Collection[str] = ()) -> npt.NDArray[np.bool_]:
    """Which of all parameters are not fitted: those that are fixed, or that these images do not tell."""
    kept = {*fixed, *(() if model.limits.astigmatism else ("C12a", "C12b"))}
    kept |= {"focus_step"} if not model.steps.any() else set()
    common = [name in kept for name in NAMES]
    # electrons have no offset
    each = [[name in kept or (name == "offset" and one.counts) for name in EACH] for one in model.photos]
    return np.array([*common, *np.ravel(each)], dtype=bool)


def refine(model: Model, start: FocalState, *, fixed: Collection[str] = (), rounds: int = ROUNDS) -> Refined:
    """Least squares from a start; ``fixed`` names parameters that stay."""
    from scipy.optimize import least_squares

    free = ~stays(model, fixed)
    low, high = bounds(model)
    room = np.where(free & np.isfinite(high - low), INSIDE * (high - low), 0.0)
    whole = np.where(free, np.clip(start.whole, low + room, high - room), start.whole)
    levels = np.array([max(float(np.mean(np.abs(one.values))), 1e-12) for one in model.photos])
    each = np.stack([np.full(len(levels), 0.05), np.full(len(levels), 0.05), 0.02 * levels, 0.02 * levels], axis=1)
    scales = np.concatenate([SCALES, each.ravel()])
    problem = Problem(model, model.photos, start, whole, free)
    counted = all(one.counts for one in model.photos)
    found = least_squares(
        problem.residual,
        whole[free],
        jac=problem.slopes,
        bounds=(low[free], high[free]),
        x_scale=scales[free],
        loss="linear" if counted else "soft_l1",
        f_scale=OUTLIER,
        max_nfev=rounds,
        xtol=CHANGE,
        ftol=GAIN,
    )
    residual = problem.residual(found.x).reshape(len(levels), -1)
    state = start.from_whole(problem.every(found.x))
    return Refined(state, free, float(found.cost), residual, problem.slopes(found.x))
