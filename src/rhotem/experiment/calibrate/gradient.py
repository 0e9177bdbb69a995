"""The mean gradient of a scan's distortion and its error: along rows, and from row to row, where the specimen moves."""

import numpy as np
import numpy.typing as npt

from rhotem.experiment.calibrate.displacement import Windows
from rhotem.experiment.calibrate.rows import Rows

Floats = npt.NDArray[np.float64]

#: Correlation of white noise in windows that overlap by half.
OVERLAP = 1 / 6
#: Variances of a step of the specimen's random walk from group to group of rows, over that of a group's own noise.
WALKS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)


def mean_gradient(windows: Windows, rows: Rows) -> tuple[Floats, Floats]:
    """Mean gradient of the displacements in Å per pixel, (2, 2), and the covariance of its two columns, (2, 2, 2).

    The first column, along a row, is the mean of the slopes of rows of windows; its error their scatter. The second is
    the slope of groups of rows (`_slope`).
    """
    x = windows.x - windows.x.mean()
    slopes = np.tensordot(windows.values, x, axes=(1, 0)) / (x @ x)
    along = slopes.mean(axis=0)
    rest = slopes - along
    n = len(slopes)
    down, variance = _slope(rows.y, rows.values)
    covariance = np.stack([_inflated(rest) * (rest.T @ rest) / (n - 1) / n, variance])
    return np.stack([along, down], axis=1), covariance


def _inflated(deviations: Floats) -> float:
    """What the variance of a mean gains because neighbours are alike, (1 + ρ)/(1 − ρ), and few, by Student's t."""
    square, freedom = float((deviations**2).sum()), len(deviations) - 1
    alike = float((deviations[1:] * deviations[:-1]).sum()) / square if square else 0.0
    alike = min(max(alike, OVERLAP), 0.9)
    return (1 + alike) / (1 - alike) * freedom / max(freedom - 2, 1)


def _slope(y: Floats, means: Floats) -> tuple[Floats, Floats]:
    """Slope of (n, 2) displacements over y and its covariance.

    Rows have noise of their own, and the specimen walks at random between them: how much of both is weighed by the
    restricted likelihood (Patterson & Thompson, Biometrika 58, 545, 1971), so that a drift that changes has the error
    that it deserves.
    """
    n = len(y)
    step = np.arange(n)
    walk = np.minimum(step[:, None], step) + 1.0
    design = np.stack([np.ones(n), (y - y.mean()) / np.ptp(y)], axis=1)
    # rounding of noise-free images has a variance, too
    floor = np.eye(2) * (1e-9 * max(float(np.abs(means).max()), 1e-9)) ** 2
    likelihoods, slopes, variances = [], [], []
    for part in WALKS:
        weights = np.linalg.inv(np.eye(n) + part * walk)
        normal = design.T @ weights @ design
        fit = np.linalg.solve(normal, design.T @ weights @ means)
        rest = means - design @ fit
        scatter = rest.T @ weights @ rest + floor
        terms = [np.linalg.slogdet(m)[1] for m in (weights, normal, scatter)]
        likelihoods.append(terms[0] - terms[1] - 0.5 * (n - 2) * terms[2])
        slopes.append(fit[1])
        variances.append(scatter / max(n - 4, 1) * np.linalg.inv(normal)[1, 1])
    share = np.exp(np.array(likelihoods) - max(likelihoods))
    share /= share.sum()
    slope = share @ np.array(slopes)
    apart = np.array(slopes) - slope
    covariance = np.tensordot(share, np.array(variances) + apart[:, :, None] * apart[:, None], axes=1)
    return slope / np.ptp(y), covariance / np.ptp(y) ** 2
