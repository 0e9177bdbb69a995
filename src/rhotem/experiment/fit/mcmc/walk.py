"""Markov chains on a posterior (emcee), started from all minima and stopped by their autocorrelation.

Walkers move by three kinds of steps: draws from Student's t around all minima with the covariance of the fit (an
independence sampler: L. Tierney, Annals of Statistics 22, 1701 (1994), sec. 2.3.3), which also go from one minimum to
another; differences of other walkers (C. ter Braak, Statistics and Computing 16, 239 (2006)); and stretches (J. Goodman
& J. Weare, CAMCoS 5, 65 (2010)), which need no covariance. All are exact whatever the posterior is like.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MissingDependencyError, Progress, silent
from rhotem.experiment.fit.mcmc.diagnostics import autocorrelation_time, split_r
from rhotem.experiment.fit.mcmc.target import Mode, Target

Array = npt.NDArray[np.float64]

#: Degrees of freedom of Student's t; share of draws that each minimum gets at least, and odds of those that get any.
FREEDOM, SHARE, RARE = 10.0, 0.1, 1e-9
#: Shares of the three kinds of steps.
DRAWN, DIFFERENCES, STRETCHED = 0.5, 0.35, 0.15
#: Steps between looks, at least (a fifth of all where that is more); autocorrelation times that are left away at the
#: start and that are enough after it; largest R̂.
LOOK, BURN, ENOUGH, AGREE = 50, 5, 50, 1.05
#: Steps at most, where no number is given.
STEPS = 5000
#: Samples kept of a chain at most.
KEPT = 20000
#: Draws until a walker stands within the bounds.
TRIED = 200


@dataclass(frozen=True, eq=False)
class Sampled:
    """Samples of a posterior and what they are worth.

    Parameters
    ----------
    target : Target
    values : (samples, p) array
        Thinned to `KEPT` at most.
    times, apart : (p,) arrays
        Autocorrelation times in steps, and split R̂ over walkers.
    steps, walkers : int
        Steps after those that were left away.
    accepted : float
        Share of steps that moved.
    converged : bool
        Whether there were `ENOUGH` autocorrelation times, and no R̂ above `AGREE`.
    """

    target: Target
    values: Array
    times: Array
    apart: Array
    steps: int
    walkers: int
    accepted: float
    converged: bool

    @property
    def effective(self) -> Array:
        """Number of independent samples (p,) that the chains are worth."""
        return np.asarray(self.steps * self.walkers / self.times)

    def error(self, name: str) -> float:
        """Standard deviation of a parameter."""
        return float(self.values[:, self.target.names.index(name)].std(ddof=1))

    @property
    def shares(self) -> list[float]:
        """Part of the samples that is nearest to each minimum, in its own standard deviations."""
        near = np.argmin([_distance(mode, self.values) for mode in self.target.modes], axis=0)
        return [float(np.mean(near == n)) for n in range(len(self.target.modes))]

    @property
    def remarks(self) -> list[str]:
        """What speaks against the samples, a line each."""
        if self.converged:
            return []
        worst = int(np.argmax(np.maximum(self.apart, self.times / max(self.times.max(), 1.0))))
        return [
            f"the chains are not long enough: {self.steps} steps are {self.steps / self.times.max():.0f} "
            f"autocorrelation times (50 are needed), R̂ of {self.target.names[worst]} {self.apart[worst]:.2f} (1.05 at "
            "most); do not trust the samples"
        ]

    def record(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        low, middle, high = np.percentile(self.values, [15.87, 50.0, 84.13], axis=0)
        rows = {
            name: {
                "mean": float(self.values[:, n].mean()),
                "error": self.error(name),
                "low_68": float(low[n]),
                "median": float(middle[n]),
                "high_68": float(high[n]),
                "unit": self.target.units[n],
                "autocorrelation_steps": float(self.times[n]),
                "split_r": float(self.apart[n]),
                "effective_samples": float(self.effective[n]),
            }
            for n, name in enumerate(self.target.names)
        }
        return {
            "parameters": rows,
            "steps": self.steps,
            "walkers": self.walkers,
            "accepted": self.accepted,
            "converged": self.converged,
            "unit_of_cost": self.target.unit,
            "share_of_minima": self.shares,
            "remarks": self.remarks,
        }

    def __str__(self) -> str:
        return (
            f"{self.walkers} walkers of {self.steps} steps, {self.effective.min():.0f} independent samples or more, "
            f"R̂ {self.apart.max():.3f} at most"
        )


class Draws:
    """Student's t around all minima.

    Parameters
    ----------
    modes : sequence of Mode
        Those of negligible odds are left out.
    rng : numpy.random.Generator
    """

    def __init__(self, modes: tuple[Mode, ...], rng: np.random.Generator) -> None:
        kept = [mode for mode in modes if mode.odds >= RARE * modes[0].odds]
        shares = np.array([max(mode.odds, SHARE) for mode in kept])
        self.shares, self.rng = shares / shares.sum(), rng
        self.centres = [mode.values for mode in kept]
        self.roots = [np.linalg.cholesky(_definite(mode.covariance)) for mode in kept]

    def draw(self, number: int) -> Array:
        """Values (number, p)."""
        parameters = len(self.centres[0])
        chosen = self.rng.choice(len(self.shares), size=number, p=self.shares)
        normal = self.rng.normal(size=(number, parameters))
        wide = np.sqrt(FREEDOM / self.rng.chisquare(FREEDOM, size=number))
        return np.array(
            [self.centres[k] + w * (self.roots[k] @ one) for k, w, one in zip(chosen, wide, normal, strict=True)]
        )

    def ln(self, values: Array) -> Array:
        """Ln of their density (n,) at values (n, p), up to a constant."""
        from scipy.linalg import solve_triangular
        from scipy.special import logsumexp

        terms = []
        for centre, root, share in zip(self.centres, self.roots, self.shares, strict=True):
            square = (solve_triangular(root, (values - centre).T, lower=True) ** 2).sum(axis=0)
            heavy = -0.5 * (FREEDOM + len(centre)) * np.log1p(square / FREEDOM)
            terms.append(np.log(share) - np.log(np.diag(root)).sum() + heavy)
        return np.asarray(logsumexp(terms, axis=0))

    def propose(self, coordinates: Array, _: Any) -> tuple[Array, Array]:
        """New values, and ln of what the densities of old and new ones differ by, as emcee's moves need it."""
        new = self.draw(len(coordinates))
        return new, self.ln(coordinates) - self.ln(new)

    def within(self, target: Target, number: int) -> Array:
        """Values (number, p) where the posterior is not 0.

        Raises
        ------
        InputError
            If there are none near the minima.
        """
        found: list[Array] = []
        for _ in range(TRIED):
            found += [one for one in self.draw(number) if np.isfinite(target.ln(one))]
            if len(found) >= number:
                return np.array(found[:number])
        raise InputError("posterior: nothing within the bounds near the minima that were found; widen the bounds")


def sample(target: Target, *, seed: int = 0, steps: int = STEPS, progress: Progress = silent) -> Sampled:
    """Sample a posterior until its autocorrelation says that it is enough.

    Parameters
    ----------
    target : Target
    seed : int
    steps : int
        At most; the result says whether they were enough.
    progress : Progress

    Raises
    ------
    MissingDependencyError
        If emcee is not installed.
    InputError
        If the posterior is 0 near its minima.
    """
    emcee = require_emcee()
    rng = np.random.default_rng(seed)
    draws = Draws(target.modes, rng)
    walkers = target.walkers
    moves = [
        (emcee.moves.MHMove(draws.propose), DRAWN),
        (emcee.moves.DEMove(), DIFFERENCES),
        (emcee.moves.StretchMove(), STRETCHED),
    ]
    sampler = emcee.EnsembleSampler(walkers, len(target.names), target.ln, moves=moves)
    generator = np.random.RandomState(np.random.MT19937(seed))  # what emcee takes
    sampler.random_state = generator.get_state()
    state: Any = draws.within(target, walkers)
    done, expected = 0, ENOUGH * 10
    while done < steps:
        state = sampler.run_mcmc(state, min(max(LOOK, done // 5), steps - done))
        done = sampler.iteration
        chains = sampler.get_chain()
        times = autocorrelation_time(chains[len(chains) // 2 :])
        first = min(int(BURN * times.max()), done // 2)
        times, apart = autocorrelation_time(chains[first:]), split_r(chains[first:])
        expected = int(min(steps, max((ENOUGH + BURN) * times.max(), done + LOOK)))
        converged = bool(done - first >= ENOUGH * times.max() and apart.max() < AGREE)
        progress("chains", expected if converged or done >= steps else done, expected)
        if converged:
            break
    flat = chains[first:].reshape(-1, len(target.names))
    kept = flat[:: max(1, -(-len(flat) // KEPT))]
    accepted = float(np.mean(sampler.acceptance_fraction))
    return Sampled(target, kept, times, apart, done - first, walkers, accepted, converged)


def require_emcee() -> Any:
    """The module emcee.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import emcee
    except ImportError:
        raise MissingDependencyError("chains need emcee: pip install 'rhotem[mcmc]'") from None
    return emcee


def _distance(mode: Mode, values: Array) -> Array:
    """Squares of distances (n,) from a minimum in its standard deviations."""
    root = np.linalg.cholesky(_definite(mode.covariance))
    return np.asarray((np.linalg.solve(root, (values - mode.values).T) ** 2).sum(axis=0))


def _definite(covariance: Array) -> Array:
    """A covariance with the least that makes it positive definite."""
    sides = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    scaled = covariance / np.outer(sides, sides)
    values, vectors = np.linalg.eigh(0.5 * (scaled + scaled.T))
    return np.asarray((vectors * np.maximum(values, 1e-10)) @ vectors.T * np.outer(sides, sides))
