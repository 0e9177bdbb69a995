"""Samples of a posterior in a figure, every parameter alone and every pair, and in a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.figures import blank_figure
from rhotem.experiment.fit.mcmc.walk import Sampled

Array = npt.NDArray[np.float64]

#: Bins of one parameter and of each of a pair; parts of the samples that contours enclose.
BINS, PAIRED, ENCLOSED = 40, 24, (0.95, 0.68)
#: Percentiles between which parameters are drawn, and how far beyond, as a part.
EDGES, MARGIN = (0.2, 99.8), 0.1
#: Inches of a panel.
PANEL = 1.55
#: Lengths in nm and angles as the console says them.
SCALES = {"Å": (0.1, "nm"), "rad": (180 / np.pi, "°")}


def draw_posterior(sampled: Sampled, fit_errors: Sequence[float], path: str | Path) -> None:
    """Draw the parameters that are no nuisance as PNG.

    Parameters
    ----------
    sampled : Sampled
    fit_errors : sequence of float
        Standard deviations of the shown parameters by the covariance of the fit, which is drawn over the samples.
    path : str or Path
    """
    target = sampled.target
    places = [target.names.index(name) for name in target.shown]
    scales = [_scale(target.names[n], target.units[n]) for n in places]
    values = sampled.values[:, places] * np.array([factor for factor, _ in scales])
    labels = [
        f"{target.names[n]} ({unit})" if unit else target.names[n] for n, (_, unit) in zip(places, scales, strict=True)
    ]
    modes = np.array([mode.values[places] for mode in target.modes]) * np.array([factor for factor, _ in scales])
    errors = np.array(fit_errors) * np.array([factor for factor, _ in scales])
    spans = [_span(values[:, n]) for n in range(len(places))]
    number = len(places)
    figure = blank_figure(max(4.5, 0.6 + PANEL * number), max(4.0, 0.9 + PANEL * number), dpi=110)
    axes = figure.subplots(number, number, squeeze=False)
    for row in range(number):
        for column in range(number):
            place = axes[row, column]
            if column > row:
                place.remove()
            elif column == row:
                _alone(place, values[:, row], spans[row], (modes[:, row], float(errors[row])))
            else:
                _pair(place, values[:, [column, row]], (spans[column], spans[row]), modes[:, [column, row]])
            if column <= row:
                _labelled(place, (row, column), number, labels)
    figure.suptitle(f"{sampled}\nhistograms: samples; lines: covariance of the fit; crosses: its minima", fontsize=8)
    figure.savefig(path)


def write_samples(sampled: Sampled, path: str | Path) -> None:
    """Write samples (samples, p) with names and units of parameters as npz; ``numpy.load`` opens it without pickle."""
    names, units = np.array(sampled.target.names), np.array(sampled.target.units)
    np.savez_compressed(path, samples=sampled.values, names=names, units=units)


def _scale(name: str, unit: str) -> tuple[float, str]:
    """Factor and unit as shown: Cs in µm, small lengths in Å."""
    if name == "Cs":
        return 1e-4, "µm"
    return (1.0, unit) if name in ("source_size", "blur") else SCALES.get(unit, (1.0, unit))


def _span(values: Array) -> tuple[float, float]:
    low, high = np.percentile(values, EDGES)
    more = MARGIN * (high - low) or 1e-9
    return float(low - more), float(high + more)


def _alone(axes: Any, values: Array, span: tuple[float, float], known: tuple[Array, float]) -> None:
    """One parameter, the Gaussian of the fit and its minima."""
    axes.hist(values, bins=BINS, range=span, density=True, color="0.8", histtype="stepfilled")
    axes.hist(values, bins=BINS, range=span, density=True, color="black", histtype="step", lw=0.8)
    minima, error = known
    x = np.linspace(*span, 200)
    if error > 0:
        curve = np.exp(-0.5 * ((x - minima[0]) / error) ** 2) / (error * np.sqrt(2 * np.pi))
        axes.plot(x, curve, color="tab:orange", lw=1.2)
    for value in minima[1:]:
        if span[0] < value < span[1]:
            axes.axvline(value, color="tab:red", lw=0.8, ls=":")
    axes.set(xlim=span, yticks=[])


def _pair(axes: Any, values: Array, spans: tuple[tuple[float, float], tuple[float, float]], modes: Array) -> None:
    """Density of two parameters, what encloses 68 and 95 % of the samples, and the minima."""
    from scipy.ndimage import gaussian_filter

    counts, x, y = np.histogram2d(values[:, 0], values[:, 1], bins=PAIRED, range=spans)
    smooth = gaussian_filter(counts, 0.7)
    axes.pcolormesh(x, y, counts.T, cmap="Greys", rasterized=True)
    ordered = np.sort(smooth.ravel())[::-1]
    enclosed = np.cumsum(ordered) / max(ordered.sum(), 1e-300)
    levels = sorted({float(ordered[np.searchsorted(enclosed, part)]) for part in ENCLOSED})
    middle = [0.5 * (edge[1:] + edge[:-1]) for edge in (x, y)]
    if len(levels) == len(ENCLOSED) and levels[0] > 0:
        axes.contour(*middle, smooth.T, levels=levels, colors="tab:blue", linewidths=0.9)
    axes.plot(*modes.T, "x", color="tab:red", ms=5)
    axes.set(xlim=spans[0], ylim=spans[1])


def _labelled(axes: Any, place: tuple[int, int], number: int, labels: list[str]) -> None:
    """Names at the left and below."""
    row, column = place
    axes.tick_params(labelsize=6, rotation=30)
    axes.locator_params(nbins=4)
    if row == number - 1:
        axes.set_xlabel(labels[column], fontsize=7)
    else:
        axes.set_xticklabels([])
    if column == 0 and row > 0:
        axes.set_ylabel(labels[row], fontsize=7)
    elif column > 0:
        axes.set_yticklabels([])
