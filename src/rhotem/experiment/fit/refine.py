"""Least squares from one start: all parameters of a pattern together."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.contrast import SMOOTH, Contrast
from rhotem.experiment.fit.likelihood import Likelihood, likelihood_of
from rhotem.experiment.fit.model import BEAMS, DIFFERENCES, NAMES, STEPS, Model, Pattern, Setting

Array = npt.NDArray[np.float64]

#: Most steps of one least-squares fit, and relative changes of parameters and cost at which it ends.
ROUNDS, CHANGE, GAIN = 12, 1e-4, 1e-5


@dataclass(frozen=True, eq=False)
class Fitted:
    """The best setting near a start.

    Parameters
    ----------
    setting : Setting
    likelihood : Likelihood
    free : tuple of str
        Parameters that were fitted.
    cost : float
        Half the sum of squares, outliers counted less.
    residual : (bins,) array
    slopes : (bins, free) array
        Derivatives of residuals by parameters.
    """

    setting: Setting
    likelihood: Likelihood
    free: tuple[str, ...]
    cost: float
    residual: Array
    slopes: Array


def contrast_at(model: Model, setting: Setting) -> Contrast:
    """Fringes around the disc of a setting."""
    return Contrast(
        model.frame,
        setting.right,
        setting.down,
        setting.scale * setting.convergence,
        SMOOTH * setting.scale * model.patterns.step[0],
    )


def refine(
    model: Model,
    start: Setting,
    *,
    fixed: Collection[str] = (),
    likelihood: Likelihood | None = None,
    rounds: int = ROUNDS,
) -> Fitted:
    """Least squares from a start.

    Parameters
    ----------
    model : Model
    start : Setting
    fixed : collection of str
        Parameters that stay.
    likelihood : Likelihood, optional
        None: that of the disc where ``start`` has it.
    rounds : int
    """
    from scipy.optimize import least_squares

    asked = likelihood or likelihood_of(contrast_at(model, start))
    free = np.array([name not in fixed for name in NAMES])
    problem = Problem(model, start, asked, free)
    low, high = model.low[free], model.high[free]
    inside = np.clip(start.values[free], low + 1e-9, high - 1e-9)
    found = least_squares(
        problem.residual,
        inside,
        jac=problem.slopes,
        bounds=(low, high),
        x_scale=STEPS[free],
        loss="linear" if np.isinf(asked.scale) else "soft_l1",
        f_scale=min(asked.scale, 1e9),
        max_nfev=rounds,
        xtol=CHANGE,
        ftol=GAIN,
    )
    names = tuple(name for name, chosen in zip(NAMES, free, strict=True) if chosen)
    best = start.with_values(problem.whole(found.x))
    return Fitted(best, asked, names, float(found.cost), problem.residual(found.x), problem.slopes(found.x))


class Problem:
    """Residuals and their derivatives as functions of the free parameters; patterns are kept while beams stay."""

    def __init__(self, model: Model, start: Setting, likelihood: Likelihood, free: npt.NDArray[np.bool_]) -> None:
        self.model, self.start, self.likelihood, self.free = model, start, likelihood, free
        self._smooth = SMOOTH * model.patterns.step[0] if likelihood.smoothed else 0.0
        self._beams: tuple[Array, Pattern] | None = None

    def whole(self, values: Array) -> Array:
        """All parameters."""
        every = self.start.values.copy()
        every[self.free] = values
        return every

    def residual(self, values: Array) -> Array:
        """At some values of the free parameters."""
        every = self.whole(values)
        if self._beams is None or not np.array_equal(self._beams[0], every[:BEAMS]):
            self._beams = every[:BEAMS].copy(), self.model.beams(every)
        return self._shown(self._beams[1], every)

    def _shown(self, beams: Pattern, every: Array) -> Array:
        return self.likelihood.residual(self.model.shown(beams, self.start.with_values(every), self._smooth))

    def slopes(self, values: Array) -> Array:
        """Forward differences, backward at an upper bound."""
        before, every = self.residual(values), self.whole(values)
        assert self._beams is not None
        columns = []
        for place in np.flatnonzero(self.free):
            step = DIFFERENCES[place]
            step = step if every[place] + step <= self.model.high[place] else -step
            moved = every.copy()
            moved[place] += step
            beams = self.model.beams(moved) if place < BEAMS else self._beams[1]
            columns.append((self._shown(beams, moved) - before) / step)
        return np.stack(columns, axis=1)
