"""The posterior of a fit of a position-averaged pattern, with pose, blur and background as nuisance parameters."""

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.mcmc.target import Mode, Target, around
from rhotem.experiment.fit.model import BEAMS, NAMES, UNITS
from rhotem.experiment.fit.pacbed import PatternFit
from rhotem.experiment.fit.refine import Problem

Array = npt.NDArray[np.float64]


def target_of_pattern(fit: PatternFit) -> Target:
    """−ln posterior of all parameters that were fitted; costs are divided by the unit of `Spread`.

    A mistilt may be as large as is held whatever its azimuth. Rivals with the other hand are no minima of one chain and
    are left out.
    """
    model, best, unit = fit.model, fit.best, fit.spread.unit
    free = np.array([name in best.free for name in NAMES])
    problem = Problem(model, best.setting, best.likelihood, free)
    scale = best.likelihood.scale

    def cost(values: Array) -> float:
        every = problem.whole(values)
        if np.hypot(every[2], every[3]) > model.patterns.tilt:
            return float(np.inf)
        squares = problem.residual(values) ** 2
        if np.isinf(scale):
            return 0.5 * float(squares.sum()) / unit
        return float((scale**2 * (np.sqrt(1 + squares / scale**2) - 1)).sum()) / unit

    low, high = model.low[free], model.high[free]
    modes = []
    for rival in fit.rivals:
        if rival.setting.hand == best.setting.hand:
            values = np.clip(rival.setting.values[free], low, high)
            modes.append(Mode(values, around(problem.slopes(values), low, high, unit), rival.odds))
    return Target(
        best.free,
        tuple(UNITS[n] for n in np.flatnonzero(free)),
        low,
        high,
        cost,
        tuple(modes),
        tuple(name for name in NAMES[:BEAMS] if name in best.free),
        unit,
    )
