"""The posterior of a fit of a focal series, with place, gain and offset of every image as nuisance parameters."""

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.focal.fit import TOGETHER, SeriesFit
from rhotem.experiment.fit.focal.refine import OUTLIER, bounds
from rhotem.experiment.fit.focal.state import EACH, NAMES, UNITS
from rhotem.experiment.fit.images.refine import Problem
from rhotem.experiment.fit.mcmc.target import Mode, Target, around
from rhotem.experiment.fit.posterior import magnitude

Array = npt.NDArray[np.float64]

#: No nuisance parameters.
SHOWN = ("thickness", "defocus", "focus_step", "Cs", "C12a", "C12b", "focal_spread", "blur")
#: Of the parameters of every image.
EACH_UNITS = ("Å", "Å", "", "")


def target_of_series(fit: SeriesFit) -> Target:
    """−ln posterior of all parameters that were fitted; costs are divided as `scans.target_of_images` says."""
    model, free = fit.model, fit.best.free
    number = len(model.photos)
    problem = Problem(model, model.photos, fit.state, fit.state.whole, free)
    together = TOGETHER / float(np.sqrt(abs(np.linalg.det(fit.state.affine))))
    unit = magnitude(fit.best.slopes, fit.best.residual, model.shape, together)
    counted = all(one.counts for one in model.photos)

    def cost(values: Array) -> float:
        squares = problem.residual(values) ** 2
        if counted:
            return 0.5 * float(squares.sum()) / unit
        return float((OUTLIER**2 * (np.sqrt(1 + squares / OUTLIER**2) - 1)).sum()) / unit

    low, high = (one[free] for one in bounds(model))
    modes = []
    for state, chance in fit.minima:
        values = np.clip(state.whole[free], low, high)
        modes.append(Mode(values, around(problem.slopes(values), low, high, unit), chance))
    every = [*NAMES, *(f"{name} of image {n + 1}" for n in range(number) for name in EACH)]
    units = [*UNITS, *EACH_UNITS * number]
    names = tuple(every[n] for n in np.flatnonzero(free))
    shown = tuple(name for name in SHOWN if name in names)
    kept = tuple(units[n] for n in np.flatnonzero(free))
    return Target(names, kept, low, high, cost, tuple(modes), shown, unit)
