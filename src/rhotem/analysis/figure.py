"""The comparison as one figure: images by source, their difference, structure factors and column contrast."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis.compare import ABSOLUTE, Comparison
from rhotem.core.figures import blank_figure
from rhotem.structure.indices import label

#: Reflections and images drawn; the tables in the record hold all of them.
MOST_REFLECTIONS = 16
MOST_IMAGES = 3
#: Pictures are repeated until they are this wide, in Å and as a share of their height.
WIDTH, ASPECT = 8.0, 0.9


def comparison_figure(result: Comparison, path: str | Path) -> None:
    """Draw a row of images per source, what each differs from the first by, column contrast and structure factors."""
    sources = list(result.images)
    names = [n for n in result.images[sources[0]].images if n in result.contrasts[sources[0]]][:MOST_IMAGES]
    rows = 2 * len(sources) + 1
    figure = blank_figure(3.6 * len(names), 2.9 * rows, dpi=110)
    grid = figure.add_gridspec(rows, len(names))
    for column, name in enumerate(names):
        places = [figure.add_subplot(grid[row, column]) for row in range(2 * len(sources))]
        _draw_images(figure, places[: 2 * len(sources) - 1], result, sources, name)
        _draw_contrast(places[-1], result, sources, name)
    _draw_factors(figure.add_subplot(grid[rows - 1, :]), result)
    labels = result.specimen.cell.labels
    microscope = result.specimen.preset.microscope
    motion = result.motion.get("displacement_sources")
    figure.suptitle(
        f"{result.specimen.crystal.formula} along {labels['zone']}, "
        f"{result.specimen.thickness:.1f} nm, {microscope.energy / 1e3:.0f} kV, {microscope.convergence:g} mrad"
        + (f"\n⟨u²⟩: {motion}" if motion else ""),
        fontsize=11,
    )
    figure.savefig(path)


def _draw_images(figure: Any, places: list[Any], result: Comparison, sources: list[str], name: str) -> None:
    """Every source on one grey scale, then what each later one differs from the first by, in per cent of its range."""
    shown = {s: result.images[s].resampled(0.08) for s in sources}
    size = shown[sources[0]].scan.size
    repeats = max(1, int(np.ceil(max(WIDTH, ASPECT * size[1]) / size[0] - 0.3)))
    extent = (0, size[0] * repeats, size[1], 0)
    pictures = {s: np.tile(shown[s][name], (repeats, 1)).T for s in sources}
    reference = pictures[sources[0]]
    low = min(float(p.min()) for p in pictures.values())
    high = max(float(p.max()) for p in pictures.values())
    for axes, source in zip(places, sources, strict=False):
        axes.imshow(pictures[source], extent=extent, vmin=low, vmax=high, cmap="gray")
        axes.set_title(f"{name}, {result.fields[source].source}", fontsize=8)
        _scale_bar(axes, extent[1], extent[2])
    for column in result.columns:
        places[0].text(*column.position, column.label, color="tab:orange", fontsize=6, ha="center", va="center")
    for axes, source in zip(places[len(sources) :], sources[1:], strict=True):
        difference = 100 * (pictures[source] - reference) / np.ptp(reference)
        most = float(np.abs(difference).max()) or 1.0
        drawn = axes.imshow(difference, extent=extent, vmin=-most, vmax=most, cmap="RdBu_r")
        figure.colorbar(drawn, ax=axes, shrink=0.8).ax.tick_params(labelsize=6)
        axes.set_title(f"{name}: {result.fields[source].source} minus first, % of range", fontsize=8)
    for axes in places:
        axes.set_xticks([])
        axes.set_yticks([])


def _scale_bar(axes: Any, width: float, height: float) -> None:
    from matplotlib.patheffects import withStroke

    length = max(c for c in (1.0, 2.0, 5.0, 10.0) if c <= max(1.0, 0.4 * width))
    # Outlined: bright-field images are white.
    bar, words = ([withStroke(linewidth=w, foreground="black")] for w in (4.0, 1.5))
    start = 0.05 * width
    axes.plot([start, start + length], [0.96 * height] * 2, color="white", lw=2.5, path_effects=bar)
    axes.text(start, 0.93 * height, f"{length:g} Å", color="white", fontsize=7, va="bottom", path_effects=words)


def _draw_contrast(axes: Any, result: Comparison, sources: list[str], name: str) -> None:
    """Column contrast by label, one bar per source."""
    width = 0.8 / len(sources)
    labels = [c.label for c in result.contrasts[sources[0]][name]]
    for i, source in enumerate(sources):
        rows = result.contrasts[source][name]
        x = np.arange(len(labels)) + (i - (len(sources) - 1) / 2) * width
        bars = axes.bar(x, [c.value for c in rows], width, label=result.fields[source].source)
        axes.bar_label(bars, fmt="%.3g", fontsize=6)
    axes.axhline(0, color="black", lw=0.6)
    axes.margins(y=0.15)
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.tick_params(axis="y", labelsize=6)
    what = "excess over the mean" if name.endswith(ABSOLUTE) else "contrast (I − mean)/mean"
    axes.set_title(f"{name}, {what} by column", fontsize=8)
    axes.legend(fontsize=6)


def _draw_factors(axes: Any, result: Comparison) -> None:
    """Relative change of the visible low-order structure factors against free atoms; equal ones are shown once."""
    for i, (source, table) in enumerate(result.factors.items()):
        strong = np.flatnonzero(np.abs(table.free) > 0.02 * np.abs(table.free).max())
        kinds = np.round(np.stack([table.g[strong], np.abs(table.free[strong])]), 3)
        _, first = np.unique(kinds, axis=1, return_index=True)
        shown = strong[np.sort(first)][:MOST_REFLECTIONS]
        x = np.arange(len(shown)) + 0.8 * i / len(result.factors)
        bars = axes.bar(x, 100 * table.change[shown], 0.8 / len(result.factors), label=result.fields[source].source)
        axes.bar_label(bars, fmt="%+.1f", fontsize=6)
        names = [label(h, "()") for h in table.conventional[shown]]
        axes.set_xticks(range(len(shown)), names, fontsize=7)
    axes.axhline(0, color="black", lw=0.6)
    axes.margins(y=0.15)
    axes.set_ylabel("|V_h| against free atoms (%)", fontsize=7)
    axes.set_title("structure factors, conventional indices, by |g|; those above 2 % of the largest", fontsize=8)
    axes.legend(fontsize=6)
