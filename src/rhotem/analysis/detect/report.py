"""Detectability as a table, a sentence of advice and a figure."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.analysis.detect.rings import PARTS, RING
from rhotem.analysis.detect.sweep import BEYOND, ROSE, Detectability, Row
from rhotem.core.figures import blank_figure
from rhotem.microscope.scan import fourier_resample

#: Pixels of a picture for one of the image, which has as few as determine it.
SMOOTH = 4


def table(result: Detectability) -> str:
    """A line for every image at its best focus, at every thickness."""
    doubted = any(row.margin is not None for row in result.rows)
    lines = [
        f"{'image':12s} {'thickness':>9s} {'defocus':>8s} {'change':>8s} {'noise':>8s} {'CNR':>6s} {'d′':>7s} "
        f"{'dose for d′ = 5':>16s}" + f" {'change':>9s}" * doubted,
        f"{'':12s} {'nm':>9s} {'nm':>8s} {'% range':>8s} {'% range':>8s} {'':>6s} {'':>7s} {'e/Å²':>16s}"
        + f" {'/ density':>9s}" * doubted,
    ]
    for name in result.images:
        for thickness in result.thicknesses:
            row = result.best(name, thickness)
            pixel = f"{100 * row.change:8.2f} {100 * row.noise:8.2f} {row.cnr:6.2f}"
            lines.append(
                f"{_name(row):12s} {row.thickness:9.2f} {row.defocus:8.2f} "
                f"{pixel if name != PARTS else '':24s} {row.detectability:7.2f} {row.enough:16.2e}"
                + ("" if row.margin is None else f" {row.margin:9.1f}{' !' * (row.margin < BEYOND)}")
            )
    return "\n".join(lines)


def advice(result: Detectability) -> str:
    """One sentence: the setting that needs the fewest electrons, and whether the dose is enough."""
    best = result.best()
    if not np.isfinite(best.enough):
        return f"{result.feature}: no image changes"
    others = [result.best(name) for name in result.images if name not in (best.image, PARTS)]
    beside = ", ".join(f"{_name(row)} {row.enough / best.enough:.3g} times that" for row in others)
    verdict = "seen" if result.dose >= best.enough else "not seen"
    foci = [row.defocus for row in result.rows]
    edge = best.defocus in (min(foci), max(foci)) and min(foci) < max(foci)
    return (
        f"{result.feature}: {verdict} at {result.dose:.3g} e/Å² (d′ = {best.detectability:.2g}); best in {_name(best)} "
        f"at {best.defocus:g} nm defocus, {best.thickness:.3g} nm thick: d′ = {ROSE:g} needs {best.enough:.2g} e/Å²"
        + (f"; {beside}" if beside else "")
        + _bound(result, best)
        + ("; the best focus is at the end of those asked, ask for more (--foci)" if edge else "")
        + _doubt(result)
    )


def _bound(result: Detectability, best: Row) -> str:
    """What all parts of the pattern, each weighed by itself, would need."""
    if PARTS not in result.images:
        return ""
    return f"; no image of patterns with these parts needs less than {result.best(PARTS).enough:.2g} e/Å²"


def _doubt(result: Detectability) -> str:
    """Images in which the density's own error may look like the feature."""
    below = [
        f"{_name(row)} at {row.thickness:.3g} nm"
        for row in result.rows
        if row.margin is not None and row.margin < BEYOND
    ]
    if not below:
        return ""
    return f"; below the density's own error bar: {', '.join(below)}: no dose tells such a change from a wrong density"


def _name(row: Row) -> str:
    """An image, a ring with its angles."""
    return row.image if row.image != RING or row.angles is None else f"ring {row.angles[0]:g}-{row.angles[1]:g}"


def figure(result: Detectability, path: str | Path) -> None:
    """Each image without the feature, what the feature changes in units of the noise, and d′ against focus."""
    names = list(result.shown)
    drawn = blank_figure(max(4.5, 3.4 * len(names)), 9.0, dpi=110)
    axes = drawn.subplots(3, len(names), squeeze=False)
    for column, name in enumerate(names):
        found, image, size = result.shown[name]
        best = result.best(name)
        shown = fourier_resample(image, (SMOOTH * image.shape[0], SMOOTH * image.shape[1]))
        _picture(axes[0, column], shown, size, f"{_name(best)}, {best.thickness:.3g} nm, defocus {best.defocus:g} nm")
        electrons = result.dose * size[0] * size[1] / image.size
        change = found.signal / np.where(found.deviation > 0, found.deviation, np.inf) * np.sqrt(electrons)
        most = float(np.abs(change).max()) or 1.0
        drawing = _picture(axes[1, column], change, size, "change / noise of a pixel", most)
        drawn.colorbar(drawing, ax=axes[1, column], shrink=0.8).ax.tick_params(labelsize=6)
        if result.place is not None:
            for row in (0, 1):
                axes[row, column].plot(*result.place, "o", mfc="none", mec="tab:orange", ms=12)
        _against_focus(axes[2, column], result, name)
    drawn.suptitle(_headline(result), fontsize=10)
    drawn.savefig(path)


def _headline(result: Detectability) -> str:
    """Specimen, change and dose, and what d′ is."""
    specimen = result.told.get("specimen", "")
    first = f"{specimen}: {result.feature}" if specimen else str(result.feature)
    return f"{first}\n{result.dose:.3g} e/Å²; d′: change over noise for the best observer, seen from {ROSE:g} on"


def _picture(axes: Any, image: Any, size: tuple[float, float], title: str, most: float | None = None) -> Any:
    """A picture in grey, or, with its largest magnitude, a difference around 0."""
    colours: dict[str, Any] = {"cmap": "gray"} if most is None else {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    x, y = (0.5 * length / n for length, n in zip(size, image.shape, strict=True))  # a pixel is seen around its place
    shown = axes.imshow(image.T, extent=(-x, size[0] - x, size[1] - y, -y), **colours)
    axes.set_title(title, fontsize=8)
    axes.set_xlabel("x (Å)", fontsize=7)
    axes.set_ylabel("y (Å)", fontsize=7)
    axes.tick_params(labelsize=6)
    return shown


def _against_focus(axes: Any, result: Detectability, name: str) -> None:
    for thickness in result.thicknesses:
        own = result.of(name, thickness)
        axes.plot([r.defocus for r in own], [r.detectability for r in own], "o-", ms=3, label=f"{thickness:.3g} nm")
    axes.axhline(ROSE, color="black", lw=0.6, ls="--", label=f"seen: d′ = {ROSE:g}")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("defocus (nm)", fontsize=7)
    axes.set_ylabel("d′", fontsize=7)
    axes.tick_params(labelsize=6)
    axes.legend(fontsize=6)
