"""Tracer diffusion coefficient from a mean square displacement, with its error.

MSD(τ) = a + 2 d D τ beyond the vibration, by generalised least squares. Windows overlap and lags share steps, so values
of the MSD are correlated; with x the displacement of an atom along an axis over n steps and y over m steps that start s
later, and increments of different steps independent,

    Cov(x², y²) = 2 (σ² w)² + κ w,      w = steps that both windows share,

σ² the variance and κ the fourth cumulant of the displacement of one step: for Gaussian steps κ = 0 (H. Qian, M. P.
Sheetz, E. L. Elson, Biophys. J. 60, 910 (1991)), for rare hops of length l it is the larger part, as few hops are
counted. Averaged over windows this gives the covariance of the MSD exactly; σ² comes from D, κ from the displacements.
Atoms are taken as independent. Generalised least squares for the MSD: A. R. McCluskey et al., J. Chem. Theory Comput.
21, 79 (2025).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.trajectories.model import Trajectory
from rhotem.battery.trajectories.msd import Msd, mean_square_displacement, windows
from rhotem.core import InputError

Floats = npt.NDArray[np.float64]

#: First and last lag of the fit as shares of the trajectory where none is asked for, and how many lags are taken.
FROM, TO, LAGS = 0.05, 0.5, 16
#: Å²/fs in cm²/s.
CM2_PER_S = 0.1


@dataclass(frozen=True, eq=False)
class Diffusion:
    """D of an element.

    Parameters
    ----------
    msd : Msd
    value, error : float
        cm²/s, one standard error.
    offset : float
        a in Å²: the vibration.
    lags : (L,) int array
        Lags in frames that were fitted.
    blocks : (4,) array
        D of the quarters of the trajectory, cm²/s, a check of the error: they should scatter by twice it.
    """

    msd: Msd
    value: float
    error: float
    offset: float
    lags: npt.NDArray[np.int64]
    blocks: Floats

    @property
    def seen(self) -> bool:
        """Whether D is above zero by two standard errors."""
        return self.value > 2.0 * self.error

    @property
    def line(self) -> Floats:
        """The fit in Å² at the times of the MSD."""
        return np.asarray(self.offset + 6.0 * self.value / CM2_PER_S * self.msd.times)

    def record(self) -> Mapping[str, Any]:
        """JSON-ready."""
        times = self.msd.times[self.lags]
        return {
            "element": self.msd.element,
            "atoms": self.msd.atoms,
            "D_cm2_per_s": self.value,
            "error_cm2_per_s": self.error,
            "offset_A2": self.offset,
            "fitted_ps": [float(times[0] / 1e3), float(times[-1] / 1e3)],
            "quarters_cm2_per_s": self.blocks.tolist(),
            "seen": self.seen,
        }


def diffusion(
    trajectory: Trajectory, element: str, *, begin: float | None = None, end: float | None = None, drift: bool = False
) -> Diffusion:
    """D of an element from lags between ``begin`` and ``end`` (fs); None: 5 % and half of the trajectory.

    Raises
    ------
    InputError
        If there is no such element, times are not known, or fewer than two lags are left.
    """
    msd = mean_square_displacement(trajectory, element, drift=drift)
    paths = trajectory.paths(drift=drift)[:, trajectory.atoms_of(element)]
    lags = _lags(msd, begin, end)
    value, error, offset = fitted(paths, msd.values, lags, trajectory.step)
    quarters = np.array_split(np.arange(len(paths)), 4)
    short = np.unique(np.maximum(lags // 4, 1))
    blocks = [np.nan] * 4
    if len(short) > 1 and len(quarters[-1]) > short[-1]:
        blocks = [_plain(paths[q], short, trajectory.step) for q in quarters]
    scale = CM2_PER_S
    return Diffusion(msd, value * scale, error * scale, offset, lags, np.array(blocks) * scale)


def fitted(paths: Floats, values: Floats, lags: npt.NDArray[np.int64], step: float) -> tuple[float, float, float]:
    """D and its standard error in Å²/fs, and the offset in Å², of paths (F, N, 3) and their MSD at all lags."""
    frames, atoms, _ = paths.shape
    design = np.stack([np.ones(len(lags)), 6.0 * lags * step], axis=1)
    taken = values[lags]
    answer = np.linalg.lstsq(design, taken, rcond=None)[0]
    squared, single = shared_steps(frames, lags)
    kappa = excess(paths, int(lags[0]))
    for _ in range(3):
        # along one axis and in one step; at least what a displacement of the whole length would leave
        variance = 2.0 * max(answer[1], 1e-3 * taken[-1] / (6.0 * lags[-1] * step)) * step
        covariance = (3.0 * 2.0 * variance**2 * squared + kappa * single) / atoms
        covariance += 1e-9 * np.diag(np.diag(covariance))
        inverse = np.linalg.inv(covariance)
        precision = design.T @ inverse @ design
        answer = np.linalg.solve(precision, design.T @ inverse @ taken)
    error = float(np.sqrt(np.linalg.inv(precision)[1, 1]))
    return float(answer[1]), error, float(answer[0])


def shared_steps(frames: int, lags: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Means over all pairs of windows of two lags of w² and of w, the steps that both share; (L, L) each."""
    squared, single = np.zeros((2, len(lags), len(lags)))
    for i, n in enumerate(lags.tolist()):
        for j, m in enumerate(lags[: i + 1].tolist()):
            k_n, k_m = frames - n, frames - m
            shift = np.arange(-m + 1, n)  # windows of m <= n that begin so much later share a step
            shared = np.minimum(shift + m, n) - np.maximum(shift, 0)
            pairs = np.maximum(np.minimum(k_n, k_m - shift) - np.maximum(0, -shift), 0)
            squared[i, j] = squared[j, i] = float(pairs @ shared.astype(float) ** 2) / (k_n * k_m)
            single[i, j] = single[j, i] = float(pairs @ shared) / (k_n * k_m)
    return squared, single


def excess(paths: Floats, lag: int) -> float:
    """κ of one step: what Var |Δr|² at a lag has beyond that of Gaussian steps, per step; never below zero."""
    moved = paths[lag:] - paths[:-lag]
    squares = (moved**2).sum(axis=2)
    covariance = np.einsum("fni,fnj->ij", moved, moved) / squares.size
    beyond = float(np.mean(squares**2) - np.mean(squares) ** 2) - 2.0 * float((covariance**2).sum())
    return max(beyond, 0.0) / lag


def _plain(paths: Floats, lags: npt.NDArray[np.int64], step: float) -> float:
    """D in Å²/fs of a piece by an unweighted fit."""
    values = windows(paths).mean(axis=1).sum(axis=1)[lags]
    return float(np.polyfit(6.0 * lags * step, values, 1)[0])


def _lags(msd: Msd, begin: float | None, end: float | None) -> npt.NDArray[np.int64]:
    """Lags of the fit in frames, evenly spaced."""
    last, step = len(msd.times) - 1, float(msd.times[1])
    for name, asked in (("from", begin), ("to", end)):
        if asked is not None and not np.isfinite(asked):
            raise InputError(f"diffusion: lags {name} {asked:g}, expected a time")
    low = max(1, round(FROM * last if begin is None else begin / step))
    high = round(TO * last if end is None else end / step)
    if not 1 <= low < high <= last:
        raise InputError(
            f"diffusion: lags from {low * step / 1e3:g} to {high * step / 1e3:g} ps in a trajectory of "
            f"{last * step / 1e3:g} ps; expected two within it, or a longer trajectory"
        )
    return np.unique(np.linspace(low, high, min(LAGS, high - low + 1)).round().astype(np.int64))
