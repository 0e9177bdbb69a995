"""What is known after a fit: covariance, profile of the thickness, and rival minima with their odds.

Residuals of neighbouring bins go together: detectors blur, and a model errs over whole fringes. The covariance is
therefore H⁻¹ (JᵀΣJ) H⁻¹ with H = JᵀJ and Σ the autocovariance of the residuals themselves, the same all over the
pattern and cut off smoothly (T. G. Conley, J. Econometrics 92, 1 (1999)). What the pixels of the simulation shift all
over a pattern leaves no residual; it was measured and is added (`GRID`). Differences of cost are divided by s² κ, κ
being what this does to the variance of the thickness: likelihoods of composite data adjusted in magnitude (Ribatet,
Cooley & Davison, Statistica Sinica 22, 813 (2012)), so that odds and profile agree with the covariance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.fit.model import NAMES, STEPS, Model, Setting
from rhotem.experiment.fit.refine import Fitted, refine

Array = npt.NDArray[np.float64]

#: Distance in apertures over which residuals go together.
TOGETHER = 0.2
#: Standard deviations from which residuals are larger than noise.
CHANCE = 3.0
#: Condition number of the scaled normal equations from which parameters cannot be told apart.
SINGULAR = 1e10
#: Two minima are one if they are nearer than this, in Å and mrad.
ALIKE = (10.0, 0.5)
#: Where the profile is computed, in standard deviations and in Å beyond them, and steps of each of its fits.
PROFILE, FARTHER, PROFILE_ROUNDS = (1.0, 2.0, 3.0), (20.0, 50.0), 4
#: How far below a minimum, in −ln likelihood, its profile may go before the fit starts again from there.
LOWER = 0.02
#: What pixels of the simulation make of mistilt and convergence (parts of a pixel), and of the thickness (Å for pixels
#: of a mrad, in proportion to their square): rms over patterns of twice finer pixels (benchmarks/pacbed_errors.py).
GRID, GRID_DEPTH = 0.08, 4.4


class Costed(Protocol):
    """A fit with its −ln likelihood."""

    @property
    def cost(self) -> float:
        """Above that of a perfect model."""


class Imaged(Costed, Protocol):
    """A fit of images."""

    @property
    def state(self) -> Any:
        """With ``thickness`` and ``defocus`` in Å."""


Minimum = TypeVar("Minimum", bound=Imaged)


@dataclass(frozen=True, eq=False)
class Spread:
    """How well the parameters of one minimum are known.

    Parameters
    ----------
    covariance : (11, 11) array
        Of all parameters, in their units; 0 of those that stayed or lie on a bound.
    unit : float
        Difference of cost that is one unit of −ln likelihood.
    noise : (11, 11) array
        What of the covariance the residuals say; the rest are the pixels of the simulation.
    """

    covariance: Array
    unit: float
    noise: Array

    def error(self, name: str) -> float:
        """Standard deviation of a parameter."""
        place = NAMES.index(name)
        return float(np.sqrt(self.covariance[place, place]))


def spread_of(model: Model, fitted: Fitted) -> Spread:
    """The covariance of a fit.

    Raises
    ------
    InputError
        If the pattern does not determine the parameters.
    """
    values = fitted.setting.values
    every = np.array([NAMES.index(name) for name in fitted.free])
    off = np.minimum(values - model.low, model.high - values)[every] > 1e-3 * STEPS[every]
    sizes = np.linalg.norm(fitted.slopes * STEPS[every], axis=0)
    off &= sizes > 1e-3 * np.median(sizes)  # a blur of nothing changes nothing
    places = every[off]
    slopes = fitted.slopes[:, off] * STEPS[places]
    hessian = slopes.T @ slopes
    sides = np.sqrt(np.diag(hessian))
    if np.linalg.cond(hessian / np.outer(sides, sides)) > SINGULAR:
        raise InputError(f"{model.frame.name}: the pattern does not determine what is fitted; give its scale")
    inverse = np.linalg.inv(hessian)
    together = TOGETHER * fitted.setting.scale * fitted.setting.convergence / model.frame.bin
    sandwich = inverse @ scatter(slopes, fitted.residual, fitted.likelihood.mask, together) @ inverse
    noise = np.zeros((len(NAMES), len(NAMES)))
    noise[np.ix_(places, places)] = sandwich * np.outer(STEPS[places], STEPS[places])
    known = np.isin(np.arange(len(NAMES)), places)
    covariance = noise + _of_pixels(model, fitted) * np.outer(known, known)
    variance = float(np.mean(fitted.residual**2))
    first = list(places).index(0) if 0 in places else None
    ratio = 1.0 if first is None else covariance[0, 0] / (variance * inverse[first, first] * STEPS[0] ** 2)
    return Spread(covariance, variance * ratio, noise)


def _of_pixels(model: Model, fitted: Fitted) -> Array:
    """Covariance of what the pixels of the simulation make; the disc on the detector stays, whatever the aperture."""
    pixel, setting = max(model.patterns.step), fitted.setting
    result = np.zeros((len(NAMES), len(NAMES)))
    moves = {name: np.zeros(len(NAMES)) for name in ("thickness", "convergence", "tilt_x", "tilt_y")}
    for name, move in moves.items():
        move[NAMES.index(name)] = GRID_DEPTH * pixel**2 if name == "thickness" else GRID * pixel
    moves["convergence"][NAMES.index("scale")] = -GRID * pixel * setting.scale / setting.convergence
    for move in moves.values():
        result += np.outer(move, move)
    return result


def scatter(slopes: Array, residual: Array, mask: npt.NDArray[np.bool_], together: float) -> Array:
    """JᵀΣJ (p, p) with Σ the autocovariance of residuals on the bins of ``mask``, cut off beyond ``together`` bins."""
    import scipy.fft

    shape = tuple(scipy.fft.next_fast_len(2 * n) for n in mask.shape)
    image = np.zeros(mask.shape)
    image[mask] = residual - residual.mean()
    power = np.abs(scipy.fft.rfft2(image, shape)) ** 2
    lags = scipy.fft.irfft2(power, shape) / mask.sum()
    x, y = (np.minimum(np.arange(n), n - np.arange(n)) for n in shape)
    lags *= np.exp(-0.5 * (x[:, None] ** 2 + y[None] ** 2) / together**2)
    weights = scipy.fft.rfft2(lags, shape).real
    columns = np.zeros((slopes.shape[1], *mask.shape))
    columns[:, mask] = slopes.T
    spread = scipy.fft.irfft2(scipy.fft.rfft2(columns, shape) * weights, shape)
    return np.asarray(spread[:, : mask.shape[0], : mask.shape[1]][:, mask] @ slopes)


def normal(slopes: Array) -> Array:
    """Inverse of the normal equations JᵀJ."""
    hessian = slopes.T @ slopes
    sides = np.sqrt(np.diag(hessian))
    return np.asarray(np.linalg.pinv(hessian / np.outer(sides, sides), rcond=1e-12) / np.outer(sides, sides))


def sandwich(slopes: Array, residual: Array, shape: tuple[int, int], together: float) -> Array:
    """Covariance of what residuals (images, pixels) in standard deviations determine.

    That of the normal equations where residuals are noise; where they are larger, H⁻¹ (JᵀΣJ) H⁻¹ with Σ the
    autocovariance of the residuals, image by image, if that is more.
    """
    inverse = normal(slopes)
    points = max(1, residual.size - slopes.shape[1])
    excess = float((residual**2).sum()) / points
    if excess <= 1 + CHANCE * np.sqrt(2 / points):
        return inverse
    mask = np.ones(shape, dtype=bool)
    parts = zip(np.split(slopes, len(residual)), residual, strict=True)
    scattered = np.asarray(sum(scatter(some, one, mask, together) for some, one in parts))
    more = np.sqrt(np.maximum(np.diag(inverse @ scattered @ inverse) / np.diag(inverse), excess))
    return np.asarray(inverse * np.outer(more, more))


def magnitude(slopes: Array, residual: Array, shape: tuple[int, int], together: float) -> float:
    """Difference of cost that is one unit of −ln likelihood: what `sandwich` does to the first variance, 1 or more.

    The first parameter is the thickness, if it is fitted.
    """
    return max(1.0, float(sandwich(slopes, residual, shape, together)[0, 0] / normal(slopes)[0, 0]))


def distinct(fits: Sequence[Fitted]) -> list[Fitted]:
    """Fits without those that are the same minimum, the best first."""
    kept: list[Fitted] = []
    for one in sorted(fits, key=lambda fit: fit.cost):
        gaps = [np.abs(one.setting.values - other.setting.values) for other in kept]
        if not any(g[0] < ALIKE[0] and np.hypot(g[2], g[3]) < ALIKE[1] for g in gaps):
            kept.append(one)
    return kept


def apart(fits: Sequence[Minimum], alike: tuple[float, float]) -> list[Minimum]:
    """Fits that are not the same minimum, the best first; ``alike``: Å of thickness and of defocus."""
    kept: list[Minimum] = []
    for one in sorted(fits, key=lambda fit: fit.cost):
        gaps = [(one.state.thickness - k.state.thickness, one.state.defocus - k.state.defocus) for k in kept]
        if not any(abs(a) < alike[0] and abs(b) < alike[1] for a, b in gaps):
            kept.append(one)
    return kept


def odds(fits: Sequence[Costed], unit: float) -> list[float]:
    """Probability of each minimum among all of them, equally likely before; ``unit`` of `Spread`."""
    costs = np.array([fit.cost for fit in fits])
    weights = np.exp(-(costs - costs.min()) / unit)
    return [float(w) for w in weights / weights.sum()]


def profile(
    model: Model, fitted: Fitted, spread: Spread, fixed: Sequence[str] = ()
) -> tuple[Array, Array, Setting | None]:
    """Thicknesses in Å, −ln likelihood above that of the fit with all else fitted again, and a better place.

    The place is a setting from which the fit goes lower by more than `LOWER`; None: there is none.
    """
    middle = fitted.setting.thickness
    near = spread.error("thickness") * np.array(PROFILE)
    steps = np.concatenate([near, near[-1] + np.array(FARTHER)])
    found, lowest, place = {middle: fitted.cost}, fitted.cost - LOWER * spread.unit, None
    for sign in (-1.0, 1.0):
        start = fitted.setting
        for step in steps:
            depth = middle + sign * step
            if not model.low[0] < depth < model.high[0]:
                break
            values = start.values.copy()
            values[0] = depth
            there = refine(
                model,
                start.with_values(values),
                fixed=[*fixed, "thickness"],
                likelihood=fitted.likelihood,
                rounds=PROFILE_ROUNDS,
            )
            found[depth], start = there.cost, there.setting
            if there.cost < lowest:
                lowest, place = there.cost, there.setting
    depths = np.array(sorted(found))
    costs = np.array([found[d] for d in depths])
    return depths, (costs - fitted.cost) / spread.unit, place
