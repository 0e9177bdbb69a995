"""Pictures of what a trajectory says: mean square displacements, residence maps, Arrhenius plots."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.battery.trajectories.activation import Activation
from rhotem.battery.trajectories.diffusion import Diffusion
from rhotem.battery.trajectories.msd import Msd
from rhotem.core import PeriodicGrid
from rhotem.core.figures import blank_figure
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]


def draw_msd(msds: Sequence[Msd], fit: Diffusion | None, title: str, path: Path) -> None:
    """MSD of every element against time on logarithmic scales, with the fit over the lags that it took."""
    figure = blank_figure(5.0, 3.8, dpi=150)
    axes = figure.add_subplot()
    for one in msds:
        shown = slice(1, max(2, int(0.75 * len(one.times))))
        axes.loglog(one.times[shown] / 1e3, np.maximum(one.values[shown], 1e-6), label=one.element, lw=1.2)
    if fit is not None:
        # D of a few hops has an error as large as itself; a line below zero has no logarithm
        said = f"{fit.msd.element}: D = ({fit.value:.2g} ± {fit.error:.1g}) cm²/s"
        drawn = fit.line[fit.lags]
        if (drawn > 0).all():
            axes.loglog(fit.msd.times[fit.lags] / 1e3, drawn, "k--", lw=1.5, label=said)
        else:
            axes.plot([], [], "k--", label=said)
    axes.set_xlabel("time between frames (ps)", fontsize=8)
    axes.set_ylabel("mean square displacement (Å²)", fontsize=8)
    axes.set_title(title, fontsize=8)
    axes.tick_params(which="both", labelsize=7)
    axes.legend(fontsize=7)
    axes.grid(which="major", alpha=0.3)
    figure.savefig(path)


def draw_residence(grid: PeriodicGrid, values: Floats, structure: Structure, element: str, path: Path) -> None:
    """A residence map projected along the three lattice vectors, the mean places of the other atoms as dots."""
    from ase.data.colors import jmol_colors

    figure = blank_figure(10.0, 3.9, dpi=150)
    figure.suptitle(f"{element}: mean number per Å², projected; dots: mean places of the other atoms", fontsize=8)
    host = np.array(structure.atoms.get_chemical_symbols()) != element
    places = structure.atoms.get_scaled_positions(wrap=True)[host]
    colours = jmol_colors[structure.numbers[host]]
    for axis, name in enumerate("abc"):
        axes = figure.add_subplot(1, 3, axis + 1)
        first, second = (k for k in range(3) if k != axis)
        a, b = grid.cell[first], grid.cell[second]
        shown = values.mean(axis=axis) * grid.volume / float(np.linalg.norm(np.cross(a, b)))
        across = np.array([np.linalg.norm(a), 0.0])
        cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
        up = np.linalg.norm(b) * np.array([cosine, math.sqrt(max(1.0 - cosine**2, 0.0))])
        edges = [(np.arange(n + 1) - 0.5) / n for n in shown.shape]
        corner = edges[0][:, None, None] * across + edges[1][None, :, None] * up
        drawn = axes.pcolormesh(corner[..., 0], corner[..., 1], shown, cmap="magma_r", shading="flat", vmin=0.0)
        drawn.set_rasterized(True)
        dots = places[:, [first]] * across + places[:, [second]] * up
        axes.scatter(dots[:, 0], dots[:, 1], s=7, c=colours, edgecolors="black", linewidths=0.3)
        axes.set(aspect="equal", title=f"along {name}")
        axes.title.set_fontsize(8)
        axes.set_xlabel(f"{'abc'[first]} (Å)", fontsize=7)
        axes.set_ylabel(f"{'abc'[second]} (Å)", fontsize=7)
        axes.tick_params(labelsize=6)
        figure.colorbar(drawn, ax=axes, shrink=0.7).ax.tick_params(labelsize=6)
    figure.savefig(path)


def draw_arrhenius(rows: Floats, fit: Activation, element: str, path: Path) -> None:
    """D against 1/T with the fit and its error, and D at 300 K; ``rows`` (T, 3): K, D and its error in cm²/s."""
    temperatures, values, errors = rows.T
    figure = blank_figure(4.6, 3.8, dpi=150)
    axes = figure.add_subplot()
    shown = np.linspace(min(300.0, temperatures.min()), temperatures.max() * 1.05, 100)
    line = np.array([fit.at(t) for t in shown])
    axes.semilogy(1e3 / shown, line[:, 0], "k-", lw=1.0)
    axes.fill_between(1e3 / shown, line[:, 0] / line[:, 1], line[:, 0] * line[:, 1], color="0.85")
    axes.errorbar(1e3 / temperatures, values, yerr=errors, fmt="o", ms=4, capsize=2)
    value, factor = fit.at(300.0)
    axes.set_title(
        f"{element}: E = {fit.energy:.3f} ± {fit.error:.3f} eV, D(300 K) = {value:.1g} cm²/s (× or ÷ {factor:.2g})",
        fontsize=8,
    )
    axes.set_xlabel("1000 K / T", fontsize=8)
    axes.set_ylabel("D (cm²/s)", fontsize=8)
    axes.tick_params(which="both", labelsize=7)
    figure.savefig(path)
