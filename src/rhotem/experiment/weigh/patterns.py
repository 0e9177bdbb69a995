"""A hypothesis on a position-averaged pattern of counted electrons: simulated patterns, fitted with pose and lens."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.fit.contrast import Contrast
from rhotem.experiment.fit.frame import Frame
from rhotem.experiment.fit.likelihood import Counts, Likelihood
from rhotem.experiment.fit.model import NAMES, Model, Setting
from rhotem.experiment.fit.pacbed import at_bounds, stepped
from rhotem.experiment.fit.posterior import distinct
from rhotem.experiment.fit.refine import Fitted, refine
from rhotem.experiment.weigh.hypothesis import UNIFORM, Explained, electrons, information
from rhotem.scattering.patterns import Patterns

Array = npt.NDArray[np.float64]

#: Widths of priors that no bounds state: pixels per mrad as a part, place of the beam in mrad, rotation in rad.
SCALE, PLACE, TURN = 0.1, 2.0, 0.5


@dataclass(frozen=True, eq=False)
class PatternHypothesis:
    """A specimen by its patterns.

    Parameters
    ----------
    name : str
    patterns : Patterns
        Of the same pixels, thicknesses and mistilts as those of its rivals.
    convergence : (float, float)
        Least and most in mrad.
    start : Setting
        Where fits start: that of `rhotem.experiment.fit.pacbed.fit_pattern`, which searches.
    draws : tuple of Patterns
        Those with single sets of displacements that ``patterns`` are the mean of, if any.
    """

    name: str
    patterns: Patterns
    convergence: tuple[float, float]
    start: Setting
    draws: tuple[Patterns, ...] = ()

    def drawn(self) -> "list[PatternHypothesis]":
        """One for each set of displacements."""
        return [replace(self, patterns=one, draws=()) for one in self.draws]

    def explain(self, data: Frame, start: Setting | None = None) -> Explained:
        """Fit the frame of a pattern (`rhotem.experiment.fit.frame.frame_of`); every parameter is a nuisance.

        Raises
        ------
        InputError
            If values are no electrons: of pictures neither gain nor noise is known.
        """
        if not data.counts:
            raise InputError(f"{data.name}: patterns are weighed where values are electrons (--counts)")
        model = Model(self.patterns, data, self.convergence)
        likelihood = compared(data)
        first = refine(model, start or self.start, likelihood=likelihood)
        fits = [first] if start is not None else distinct([first, stepped(model, first)])
        return explained(model, fits)

    def recorded(self, data: Frame, state: Setting, factor: float = 1.0) -> Frame:
        """A noise-free frame with ``factor`` times the electrons."""
        model = Model(self.patterns, data, self.convergence)
        shown = np.maximum(model.shown(model.beams(state.values), state), 0.0)
        return replace(data, values=factor * shown * (data.values.sum() / shown.sum()))

    def noisy(self, data: Frame, rng: np.random.Generator, unit: float = 1.0) -> Frame:
        """Electrons of Poisson's distribution."""
        return replace(data, values=electrons(data.values, rng, unit))

    def scaled(self, data: Frame, state: Setting, factor: float) -> Setting:
        """The same: the number of electrons is no parameter of a pattern."""
        return state

    def says(self, state: Setting) -> str:
        """Thickness, mistilt and aperture of a state."""
        tilt = float(np.hypot(state.tilt_x, state.tilt_y))
        return f"{0.1 * state.thickness:.2f} nm, mistilt {tilt:.2f} mrad, aperture {state.convergence:.2f} mrad"

    def at_bounds(self, data: Frame, state: Setting) -> list[str]:
        """Thickness, mistilt or aperture."""
        return at_bounds(Model(self.patterns, data, self.convergence), state)

    def dose(self, data: Frame, state: Setting) -> None:
        """Not known: the illuminated area is not that of the pattern."""


def compared(data: Frame) -> Likelihood:
    """The likelihood of one frame for all hypotheses: of the same pixels, wherever each finds the disc."""
    return Counts(Contrast(data, 0.0, 0.0, data.disc.radius, 0.0))


def explained(model: Model, fits: list[Fitted]) -> Explained:
    """What fits of a pattern say of its hypothesis, the best first."""
    best = fits[0]
    prior = priors(model, best.setting)[[NAMES.index(name) for name in best.free]]
    points = best.residual.size
    excess = 2 * best.cost / max(1, points - len(best.free))
    told = information(best.slopes, prior)
    return Explained(best.setting, np.array([fit.cost for fit in fits]), told, points, excess)


def priors(model: Model, setting: Setting) -> Array:
    """Standard deviations of the prior of all parameters: bounds where there are any."""
    widths = model.high - model.low
    pose = {"scale": SCALE * setting.scale, "rotation": TURN, "right": PLACE * setting.scale}
    pose["down"] = pose["right"]
    for name, width in pose.items():
        widths[NAMES.index(name)] = width
    return UNIFORM * widths
