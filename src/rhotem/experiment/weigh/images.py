"""A hypothesis on images of one scan: a scattering response, fitted with lens, scan, gains and offsets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.images import Nodes, Recorded, State, fit_images
from rhotem.experiment.fit.images.fit import ImageFit, at_bounds
from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.refine import WIDEST, Noise
from rhotem.experiment.fit.images.state import BEND, NAMES, affine
from rhotem.experiment.fit.told import uncounted
from rhotem.experiment.weigh.hypothesis import UNIFORM, Explained, electrons, information
from rhotem.scattering.response import Response

Array = npt.NDArray[np.float64]

#: Widths of priors that no range states: origin in Å (any crystal's, so that a larger cell is no worse), steps of the
#: scan as a part of the pixel.
ORIGIN, STEP = 1.0, 0.02


@dataclass(frozen=True, eq=False)
class ImageHypothesis:
    """A specimen by its response.

    Parameters
    ----------
    name : str
    response : Response or Nodes
        Of the same thicknesses, foci and astigmatism as that of its rivals, atoms displaced alike
        (`rhotem.analysis.alike`).
    pixels : (2, 2) array
        As `rhotem.experiment.fit.images.fit_images`.
    draws : tuple of Response
        Those with single sets of displacements that ``response`` is the mean of, if any.
    """

    name: str
    response: Response | Nodes
    pixels: npt.ArrayLike
    draws: tuple[Response, ...] = ()

    def drawn(self) -> "list[ImageHypothesis]":
        """One for each set of displacements."""
        return [replace(self, response=one, draws=()) for one in self.draws]

    def explain(self, data: Sequence[Recorded], start: State | None = None) -> Explained:
        """Fit images; every parameter of the fit is a nuisance."""
        return explained(fit_images(data, self.response, self.pixels, start=start))

    def recorded(self, data: Sequence[Recorded], state: State, factor: float = 1.0) -> list[Recorded]:
        """Noise-free images; where values are no electrons their noise falls instead of their gain rising."""
        expected = Model(self.response, list(data)).shown(state)
        result = []
        for one, values in zip(data, expected, strict=True):
            shown = values.reshape(np.shape(one.values))
            if one.counts:
                result.append(replace(one, values=factor * np.maximum(shown, 0.0)))
            else:
                result.append(replace(one, values=shown, noise=Noise(one).sigma / np.sqrt(factor)))
        return result

    def noisy(self, data: Sequence[Recorded], rng: np.random.Generator, unit: float = 1.0) -> list[Recorded]:
        """Electrons of Poisson's distribution, else normal noise."""
        result = []
        for one in data:
            if one.counts:
                result.append(replace(one, values=electrons(np.asarray(one.values, dtype=float), rng, unit)))
            else:
                noise = Noise(one).sigma * np.sqrt(unit) * rng.normal(size=np.shape(one.values))
                result.append(replace(one, values=one.values + noise))
        return result

    def scaled(self, data: Sequence[Recorded], state: State, factor: float) -> State:
        """A state of a recording with ``factor`` times the electrons."""
        counts = np.array([factor if one.counts else 1.0 for one in data])
        return replace(state, gains=state.gains * counts, offsets=state.offsets * counts)

    def says(self, state: State) -> str:
        """Thickness, defocus and source."""
        return f"{0.1 * state.thickness:.2f} nm, defocus {0.1 * state.defocus:.1f} nm, source {state.source_size:.2f} Å"

    def at_bounds(self, data: Sequence[Recorded], state: State) -> list[str]:
        """Thickness, focus, astigmatism or source; and images whose electrons are none."""
        model, said = Model(self.response, list(data)), list[str]()
        for one, shown in zip(data, model.shown(state), strict=True):
            if one.counts:
                rest, _ = Noise(one).residual(shown)
                said += uncounted(one.name, one.values, float((rest**2).mean()))
        return said + at_bounds(model, state)

    def dose(self, data: Sequence[Recorded], state: State) -> float | None:
        """Electrons of the beam per Å² where values are electrons: gain over the area of a pixel."""
        counted = [gain for one, gain in zip(data, state.gains, strict=True) if one.counts]
        return float(np.mean(counted) / abs(np.linalg.det(affine(state)))) if counted else None


def explained(fit: ImageFit) -> Explained:
    """What a fit of images says of its hypothesis."""
    best, chances = fit.best, np.array([odds for _, odds in fit.minima])
    excess = max(1.0, fit.excess)
    costs = best.cost - excess * np.log(np.maximum(chances, 1e-300) / chances[0])
    prior = priors(fit.model, fit.state)[best.free]
    return Explained(fit.state, costs, information(best.slopes, prior), best.residual.size, fit.excess)


def priors(model: Model, state: State) -> Array:
    """Standard deviations of the prior of all parameters, as `State.whole`.

    Ranges of the response for lens and thickness; a factor e for gains, so that they favour no hypothesis.
    """
    response = model.response
    pixel = float(np.sqrt(abs(np.linalg.det(affine(state)))))
    width: dict[str, Any] = {
        "thickness": response.thicknesses[-1] - response.thicknesses[0],
        "defocus": response.range.defocus[1] - response.range.defocus[0],
        "C12a": 2 * model.astigmatism,
        "C12b": 2 * model.astigmatism,
        "source_size": WIDEST,
        "x": ORIGIN,
        "y": ORIGIN,
        "x_bend": 2 * BEND,
        "y_bend": 2 * BEND,
    }
    lens = [UNIFORM * width.get(name, STEP * pixel) for name in NAMES]
    ranges = [max(float(np.ptp(image.values)), 1e-12) for image in model.images]
    nodes = [UNIFORM * (axis.values[-1] - axis.values[0]) for axis in model.nodes.axes]
    return np.concatenate([lens, np.abs(state.gains), ranges, nodes])
