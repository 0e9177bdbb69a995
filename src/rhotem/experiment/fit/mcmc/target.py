"""What is sampled: −ln of a posterior within bounds, and the minima that are known of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError

Array = npt.NDArray[np.float64]

#: Chains at least.
LEAST = 32
#: Standard deviation over width of a uniform prior.
UNIFORM = 12**-0.5


@dataclass(frozen=True, eq=False)
class Mode:
    """A minimum of −ln posterior.

    Parameters
    ----------
    values : (p,) array
    covariance : (p, p) array
        Of a Gaussian that is like the posterior there.
    odds : float
        Its probability among all minima as the fit has it.
    """

    values: Array
    covariance: Array
    odds: float = 1.0


@dataclass(frozen=True, eq=False)
class Target:
    """A posterior.

    Parameters
    ----------
    names, units : tuples of str
        Of the parameters, nuisance parameters among them.
    low, high : (p,) arrays
        Bounds: the prior is uniform within, 0 beyond.
    cost : callable
        Values (p,) within the bounds -> −ln of likelihood and other priors.
    modes : tuple of Mode
        The best first.
    shown : tuple of str
        Parameters that are no nuisance.
    unit : float
        Difference of cost of the fit that is one unit of −ln likelihood; ``cost`` is divided by it already.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    low: Array
    high: Array
    cost: Callable[[Array], float]
    modes: tuple[Mode, ...]
    shown: tuple[str, ...] = field(default=())
    unit: float = 1.0

    def __post_init__(self) -> None:
        number = len(self.names)
        lengths = {len(self.units), len(self.low), len(self.high), *(len(mode.values) for mode in self.modes)}
        if not self.modes or lengths != {number} or (self.low >= self.high).any():
            raise InputError(
                f"posterior of {number} parameters: expected units, bounds with low < high, and one minimum or more "
                f"of the same length, got lengths {sorted(lengths)} and {len(self.modes)} minima"
            )

    def ln(self, values: Array) -> float:
        """Ln of the posterior, up to a constant."""
        if not ((values >= self.low) & (values <= self.high)).all():
            return -np.inf
        cost = self.cost(values)
        return -cost if np.isfinite(cost) else -np.inf

    @property
    def walkers(self) -> int:
        """Number of chains: an even number, more than twice the parameters."""
        return max(LEAST, 2 * (len(self.names) + 1))

    def pace(self) -> float:
        """CPU seconds that a step of all chains takes."""
        begun = process_time()
        self.ln(self.modes[0].values)
        return (process_time() - begun) * self.walkers


def around(slopes: Array, low: Array, high: Array, unit: float = 1.0) -> Array:
    """Covariance (p, p) of a minimum: normal equations of slopes (residuals, p), and bounds as priors of their width.

    ``unit`` is the difference of cost that is one unit of −ln likelihood.
    """
    hessian = slopes.T @ slopes / unit
    with np.errstate(invalid="ignore"):
        widths = UNIFORM * (high - low)
    hessian[np.diag_indices_from(hessian)] += np.where(np.isfinite(widths), widths, np.inf) ** -2.0
    sides = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    return np.asarray(np.linalg.pinv(hessian / np.outer(sides, sides), rcond=1e-12) / np.outer(sides, sides))
