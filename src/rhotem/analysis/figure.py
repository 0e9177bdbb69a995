"""The comparison as one figure: images by source, their difference, structure factors and column contrast."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis.compare import Comparison

#: Reflections and images drawn; the tables in the record hold all of them.
MOST_REFLECTIONS = 14
MOST_IMAGES = 4


def comparison_figure(result: Comparison, path: str | Path) -> None:
    """Draw a comparison of two or more sources as PNG (or whatever the ending says)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    sources = list(result.images)
    names = [n for n in result.images[sources[0]].images if n in result.contrasts[sources[0]]][:MOST_IMAGES]
    rows = len(sources) + 2
    figure = Figure(figsize=(3.4 * len(names), 2.9 * rows), layout="constrained", dpi=130)
    grid = figure.add_gridspec(rows, len(names))
    for column, name in enumerate(names):
        _draw_images(figure, grid, result, sources, column, name)
        _draw_contrast(figure.add_subplot(grid[rows - 2, column]), result, sources, name)
    _draw_factors(figure.add_subplot(grid[rows - 1, :]), result)
    labels = result.specimen.cell.labels
    microscope = result.specimen.preset.microscope
    figure.suptitle(
        f"{result.specimen.crystal.atoms.get_chemical_formula(empirical=True)} along {labels['zone']}, "
        f"{result.specimen.thickness:.1f} nm, {microscope.energy / 1e3:.0f} kV, {microscope.convergence:g} mrad",
        fontsize=11,
    )
    figure.savefig(path)


def _draw_images(figure: Any, grid: Any, result: Comparison, sources: list[str], column: int, name: str) -> None:
    """One column of images: every source on the same grey scale, columns marked once."""
    shown = {s: result.images[s].resampled(0.1) for s in sources}
    low = min(float(i[name].min()) for i in shown.values())
    high = max(float(i[name].max()) for i in shown.values())
    size = shown[sources[0]].scan.size
    for row, source in enumerate(sources):
        axes = figure.add_subplot(grid[row, column])
        picture = shown[source][name].T
        axes.imshow(picture, origin="lower", extent=(0, size[0], 0, size[1]), vmin=low, vmax=high, cmap="gray")
        axes.set_title(f"{name}, {result.fields[source].source}", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
        _scale_bar(axes, size)
        if row == 0:
            for column_ in result.columns:
                axes.annotate(column_.label, column_.position, color="tab:orange", fontsize=6, ha="center", va="center")


def _scale_bar(axes: Any, size: tuple[float, float]) -> None:
    length = max(c for c in (1.0, 2.0, 5.0, 10.0) if c <= max(1.0, 0.5 * size[0]))
    axes.plot([0.05 * size[0], 0.05 * size[0] + length], [0.03 * size[1]] * 2, color="white", lw=2.5)
    axes.text(0.05 * size[0], 0.05 * size[1], f"{length:g} Å", color="white", fontsize=6, va="bottom")


def _draw_contrast(axes: Any, result: Comparison, sources: list[str], name: str) -> None:
    """Column contrast by label, one bar per source."""
    width = 0.8 / len(sources)
    labels = [c.label for c in result.contrasts[sources[0]][name]]
    for i, source in enumerate(sources):
        rows = result.contrasts[source][name]
        x = np.arange(len(labels)) + (i - (len(sources) - 1) / 2) * width
        axes.bar(x, [c.value for c in rows], width, label=result.fields[source].source)
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.tick_params(axis="y", labelsize=6)
    axes.set_title(f"column contrast in {name}", fontsize=8)
    axes.legend(fontsize=5)


def _draw_factors(axes: Any, result: Comparison) -> None:
    """Relative change of the strongest low-order structure factors against free atoms."""
    for i, (source, table) in enumerate(result.factors.items()):
        strong = np.flatnonzero(np.abs(table.free) > 0.02 * np.abs(table.free).max())
        _, first = np.unique(
            np.round(np.stack([table.g[strong], np.abs(table.free[strong])]), 3), axis=1, return_index=True
        )
        shown = strong[np.sort(first)][:MOST_REFLECTIONS]
        x = np.arange(len(shown)) + 0.8 * i / len(result.factors)
        axes.bar(x, 100 * table.change[shown], 0.8 / len(result.factors), label=result.fields[source].source)
        axes.set_xticks(range(len(shown)), ["".join(map(str, h)) for h in table.indices[shown].tolist()], fontsize=7)
    axes.axhline(0, color="black", lw=0.6)
    axes.set_ylabel("|V_h| against free atoms (%)", fontsize=7)
    axes.set_title("structure factors, indices of the crystal's own cell, by |g|", fontsize=8)
    axes.legend(fontsize=6)
