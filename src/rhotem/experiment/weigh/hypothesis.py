"""What can be weighed: the seam between verdicts and the fits of images or patterns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Standard deviation over width of a uniform prior.
UNIFORM = 12**-0.5


@dataclass(frozen=True, eq=False)
class Explained:
    """How well one hypothesis explains a recording with its nuisance parameters fitted.

    Parameters
    ----------
    state
        The best parameters, as the hypothesis has them.
    costs : (minima,) array
        −ln likelihood of all minima above that of a perfect model, the least first.
    information : (parameters,) array
        Eigenvalues of S H S: Hessian of −ln likelihood at the best minimum, S the standard deviations of the prior.
    points : int
        Independent values that were compared.
    excess : float
        Mean square of residuals over that of noise.
    """

    state: Any
    costs: Array
    information: Array
    points: int
    excess: float

    @property
    def cost(self) -> float:
        """That of the best minimum."""
        return float(self.costs[0])

    def evidence(self, unit: float = 1.0) -> float:
        """Ln of the evidence by Laplace's approximation with a Gaussian prior, all minima together.

        ln Z = −cost − ½ ln det(1 + S H S) (D. J. C. MacKay, Neural Computation 4, 415 (1992), eq. 2.5); every minimum
        has the volume of the best. ``unit`` is the difference of cost that is one unit of −ln likelihood: above 1 where
        residuals are larger than noise.
        """
        least = self.costs.min()
        minima = -least / unit + np.log(np.exp(-(self.costs - least) / unit).sum())
        return float(minima - 0.5 * np.log1p(np.maximum(self.information, 0.0) / unit).sum())

    def criterion(self, unit: float = 1.0) -> float:
        """−½ BIC: −cost − ½ p ln n (G. Schwarz, Annals of Statistics 6, 461 (1978))."""
        return float(-self.cost / unit - 0.5 * len(self.information) * np.log(self.points))


def information(slopes: Array, prior: Array) -> Array:
    """Eigenvalues of S H S from slopes (residuals, parameters) of residuals in units of their noise, H = JᵀJ."""
    hessian = (slopes * prior).T @ (slopes * prior)
    return np.asarray(np.linalg.eigvalsh(hessian), dtype=float)


def electrons(expected: Array, rng: np.random.Generator, unit: float = 1.0) -> Array:
    """Poisson numbers; with ``unit`` above 1 spread to so many times their variance."""
    drawn = rng.poisson(expected).astype(float)
    return np.maximum(expected + np.sqrt(unit) * (drawn - expected), 0.0) if unit > 1.0 else drawn


class Hypothesis(Protocol):
    """A specimen that might be the one recorded."""

    @property
    def name(self) -> str:
        """What the verdict calls it."""

    def drawn(self) -> "Sequence[Hypothesis]":
        """The same with single sets of displacements instead of their mean; those of rivals move alike one by one."""

    def explain(self, data: Any, start: Any = None) -> Explained:
        """Fit a recording; ``start`` is a state from which to refine, None: everything is searched."""

    def recorded(self, data: Any, state: Any, factor: float = 1.0) -> Any:
        """What a noise-free recording like ``data`` would hold with ``factor`` times the electrons."""

    def noisy(self, data: Any, rng: np.random.Generator, unit: float = 1.0) -> Any:
        """A noise-free recording with noise, its variance ``unit`` times that of counting."""

    def scaled(self, data: Any, state: Any, factor: float) -> Any:
        """A state of a recording with ``factor`` times the electrons."""

    def says(self, state: Any) -> str:
        """The parameters that matter in a few words."""

    def at_bounds(self, data: Any, state: Any) -> list[str]:
        """What of a state lies at an end of what was tried, a line each."""

    def dose(self, data: Any, state: Any) -> float | None:
        """Electrons per Å² of a recording, if known."""
