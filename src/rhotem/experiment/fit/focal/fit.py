"""`fit_series`: what a focal series says of specimen, lens and camera."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import Progress, silent
from rhotem.experiment.fit import told
from rhotem.experiment.fit.focal.model import FocalLimits, Model
from rhotem.experiment.fit.focal.pairs import Pairs
from rhotem.experiment.fit.focal.refine import Refined, bounds, refine
from rhotem.experiment.fit.focal.search import starts
from rhotem.experiment.fit.focal.state import EACH, NAMES, SCALES, UNITS, FocalState, Photo
from rhotem.experiment.fit.images.refine import left
from rhotem.experiment.fit.posterior import apart, odds, sandwich
from rhotem.scattering.exits import ExitWaves

Array = npt.NDArray[np.float64]

#: Minima nearer than this in Å of thickness and of defocus are one.
ALIKE = (5.0, 10.0)
#: Standard deviations from which residuals are no chance.
CHANCE = 5.0
#: Distance in Å over which residuals go together.
TOGETHER = 2.0
#: Odds from which a rival is told of, and steps from a bound at which a parameter is at it.
WORTH, NEAR = 0.05, 0.2
#: Steps of fits with strong pairs of beams alone, and minima of these that are fitted with all.
ROUGH_ROUNDS, FINE = 15, 3
#: Steps of the fits without one configuration each.
WITHOUT_ROUNDS = 12
#: Parameters that have bounds, as remarks call them, with the option that widens them.
BOUNDED = {
    "thickness": "--thickest",
    "defocus": "--foci",
    "focus_step": "--focus-step",
    "Cs": "--cs",
    "C12a": "--astigmatism",
    "C12b": "--astigmatism",
    "focal_spread": "--focal-spread",
}


@dataclass(frozen=True, eq=False)
class SeriesFit:
    """A fit of a focal series.

    Parameters
    ----------
    model : Model
    best : Refined
    minima : list of (FocalState, float)
        All minima with their odds (equally likely before), the best first.
    covariance : (p, p) array
        Of all parameters, as `FocalState.whole`.
    """

    model: Model
    best: Refined
    minima: list[tuple[FocalState, float]]
    covariance: Array

    @property
    def state(self) -> FocalState:
        """The best one."""
        return self.best.state

    def error(self, name: str) -> float:
        """Standard deviation of a parameter that all images share."""
        place = NAMES.index(name)
        return float(np.sqrt(max(self.covariance[place, place], 0.0)))

    @property
    def excess(self) -> float:
        """Mean square of residuals over that of noise: 1 of a model that explains the images."""
        return float((self.best.residual**2).sum() / max(1, self.best.residual.size - self.best.slopes.shape[1]))

    @property
    def left(self) -> float:
        """Part of what the images show beyond noise that the model does not: 0 of the right one, 1 of a flat image."""
        return left(self.model.photos, self.excess)

    @property
    def foci(self) -> Array:
        """Defocus of every image in Å."""
        return self.state.defocus + self.state.focus_step * self.model.steps

    def transfer(self) -> float:
        """MTF of the camera at its Nyquist frequency."""
        pixel2 = abs(float(np.linalg.det(self.state.affine)))
        return float(np.exp(-2 * np.pi**2 * self.state.blur**2 * 0.25 / pixel2))

    @property
    def remarks(self) -> list[str]:
        """What speaks against the fit, a line each."""
        check = "structure, energy, --cs, --foci, --thickest, sign of --focus-step and order of images"
        found = told.unexplained(self.excess, check)
        if not found and all(photo.counts for photo in self.model.photos):
            found = told.beyond(self.excess, 1 + CHANCE * float(np.sqrt(2 / self.best.residual.size)))
            found = found or told.uncounted("the series", self.model.photos[0].values, self.excess)
        low, high = bounds(self.model)
        for n, name in enumerate(NAMES):
            if name not in BOUNDED or not self.best.free[n]:
                continue
            for bound in (low[n], high[n]):
                if abs(self.state.values[n] - bound) < NEAR * SCALES[n]:
                    tried = f"the end of what was tried ({bound:.5g} {UNITS[n]})"
                    found.append(told.at_end(name, tried, BOUNDED[name]))
        for state, chance in self.minima[1:]:
            if chance > WORTH:
                found.append(
                    f"{0.1 * state.thickness:.2f} nm with a defocus of {0.1 * state.defocus:.1f} nm fits nearly as "
                    f"well (odds {chance:.2f})"
                )
        return found

    def record(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        errors = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        each = errors[len(NAMES) :].reshape(-1, len(EACH))
        return {
            "parameters": told.parameters(NAMES, UNITS, self.state.values, errors),
            "fitted": [name for n, name in enumerate(NAMES) if self.best.free[n]],
            "images": [
                {"defocus_nm": 0.1 * float(focus), "counts": photo.counts}
                | {name: float(value) for name, value in zip(EACH, values, strict=True)}
                | {f"{name}_error": float(value) for name, value in zip(EACH, wrong, strict=True)}
                for focus, photo, values, wrong in zip(self.foci, self.model.photos, self.state.each, each, strict=True)
            ],
            "mtf_at_nyquist": self.transfer(),
            "excess": self.excess,
            "remarks": self.remarks,
            "minima": told.minima(self.minima),
            "covariance": self.covariance,
        }

    def __str__(self) -> str:
        said = ", ".join(
            f"{name} {_rounded(scale * getattr(self.state, name), scale * self.error(name))} {unit}"
            for name, scale, unit in (
                ("thickness", 0.1, "nm"),
                ("defocus", 0.1, "nm"),
                ("Cs", 1e-4, "µm"),
                ("C12a", 0.1, "nm"),
                ("C12b", 0.1, "nm"),
                ("focal_spread", 0.1, "nm"),
                ("blur", 1.0, "Å"),
            )
        )
        return f"{said} (MTF {self.transfer():.2f} at Nyquist); residuals {self.excess:.2f} of the noise's square"


def fit_series(
    photos: Sequence[Photo],
    held: ExitWaves,
    pixels: Sequence[npt.ArrayLike],
    steps: Sequence[float],
    limits: FocalLimits,
    *,
    convergence: float,
    start: FocalState | None = None,
    fixed: Collection[str] = (),
    progress: Progress = silent,
) -> SeriesFit:
    """Fit thickness, focus, Cs, astigmatism, focal spread, blur, and place and gain of every image.

    Parameters
    ----------
    photos : sequence of Photo
        One or more; of one image thickness, focus, Cs and focal spread are hardly told apart.
    held : ExitWaves
        Of the specimen, with four or more thicknesses.
    pixels : sequence of (2, 2) arrays
        Each takes (column, row) to Å along x and y of the crystal's cell, right to a quarter of the lattice's spacing
        across the image: one, or all orientations that the lattice cannot tell.
    steps : sequence of float
        Stated focus of each image from that of the first, Å.
    limits : FocalLimits
    convergence : float
        Standard deviation of the illumination angle along each axis, mrad.
    start : FocalState, optional
        Where to start; None: every thickness and focus is tried.
    fixed : collection of str
        Parameters that stay.
    progress : Progress

    Raises
    ------
    InputError
        If the images are not alike, or nothing of the crystal is found in them.
    """
    model = Model(Pairs(held, convergence, limits.least_spread), photos, steps, limits)
    affines = [np.asarray(one, dtype=float) for one in pixels]
    coarse = Model(Pairs(held, convergence, limits.least_spread, elastic=True), photos, steps, limits)
    tried = [(1.0, start)] if start else starts(coarse, affines)
    if not tried or tried[0][0] < told.POOR:
        raise told.absent("images of the series", tried[0][0] if tried else 0.0)
    if start is None:
        rough = []
        for place, (_, one) in enumerate(tried):
            rough.append(refine(coarse, one, fixed=fixed, rounds=ROUGH_ROUNDS))
            progress("rough fits", place + 1, len(tried))
        tried = [(0.0, one.state) for one in apart(rough, ALIKE)[:FINE]]
    fits = []
    for place, (_, one) in enumerate(tried):
        fits.append(refine(model, one, fixed=fixed))
        progress("fits", place + 1, len(tried))
    kept = apart(fits, ALIKE)
    best = kept[0]
    excess = max(1.0, float((best.residual**2).mean()))
    minima = [(fit.state, chance) for fit, chance in zip(kept, odds(kept, excess), strict=True)]
    spread = _covariance(model, best) + _displaced(model, best, fixed)
    return SeriesFit(model, best, minima, spread)


def _rounded(value: float, error: float) -> str:
    """A value and its error, which has two digits."""
    digits = int(np.clip(1 - np.floor(np.log10(error)), 1, 6)) if error > 0 else 2
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _covariance(model: Model, fitted: Refined) -> Array:
    """Covariance of all parameters, 0 where they stayed or lie on a bound."""
    low, high = bounds(model)
    whole = fitted.state.whole
    every = np.flatnonzero(fitted.free)
    scales = np.concatenate([SCALES, np.full(len(whole) - len(SCALES), 1e-3)])
    off = (np.minimum(whole - low, high - whole) > 1e-3 * scales)[every]
    places = every[off]
    together = TOGETHER / float(np.sqrt(abs(np.linalg.det(fitted.state.affine))))
    result = np.zeros((len(whole), len(whole)))
    result[np.ix_(places, places)] = sandwich(fitted.slopes[:, off], fitted.residual, model.shape, together)
    return result


def _displaced(model: Model, fitted: Refined, fixed: Collection[str]) -> Array:
    """Covariance that displacements of atoms make, by fits without one configuration each (jackknife)."""
    number = model.pairs.waves.shape[1]
    if number < 2:
        return np.zeros((len(fitted.free), len(fitted.free)))
    found = []
    for n in range(number):
        other = Model(model.pairs.without(n), model.photos, model.steps.tolist(), model.limits)
        found.append(refine(other, fitted.state, fixed=fixed, rounds=WITHOUT_ROUNDS).state.whole)
    moved = np.array(found) - np.mean(found, axis=0)
    return np.asarray((number - 1) / number * moved.T @ moved)
