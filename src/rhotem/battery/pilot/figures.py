"""Pictures of a pilot study: images, charge density and charges with and without the dopant."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.pilot.make import Pilot
from rhotem.core.figures import blank_figure
from rhotem.microscope.detectors import unit
from rhotem.microscope.pictures import scale_bar
from rhotem.microscope.scan import fourier_resample

Floats = npt.NDArray[np.float64]

#: Inches of a panel's width and largest height; Å that images are repeated to, at least.
WIDTH, HEIGHT, LEAST = 2.9, 3.4, 9.0
#: What stands beside the rows.
ROWS = ("without", "with", "with − without")
#: Pixel in Å of pictures.
PIXEL = 0.06


def draw_images(made: Pilot, path: Path, names: Sequence[str]) -> None:
    """Images without and with the dopant on one grey scale each, and their difference in colour."""
    host, doped = (side.result.images.resampled(PIXEL) for side in (made.host, made.doped))
    columns = [(f"{name}{_unit(name)}", [host[name], doped[name]], False) for name in names]
    _rows(made, columns, path)


def draw_density(made: Pilot, path: Path) -> None:
    """Deformation density projected along the beam, without and with the dopant, and the difference."""
    size = made.host.result.images.scan.size
    shape = (round(size[0] / PIXEL), round(size[1] / PIXEL))
    pair = [np.asarray(fourier_resample(side.deformation, shape)) for side in (made.host, made.doped)]
    _rows(made, [("electrons gained, ∫ Δn dz (e/Å²)", pair, True)], path)


def draw_charges(made: Pilot, path: Path) -> None:
    """Change of every atom's charge against its distance from the dopant."""
    figure = blank_figure(7.2, 3.0)
    places = figure.subplots(1, 2)
    rows = [row for row in made.changes() if row["host"] == row["doped"]]
    for axes, kind in zip(places, ("hirshfeld", "bader"), strict=True):
        for element in dict.fromkeys(row["host"] for row in rows):
            mine = [(row["distance_A"], row[f"{kind}_change_e"]) for row in rows if row["host"] == element]
            axes.plot(*np.array(mine).T, "o", ms=4, label=element)
        axes.axhline(0, color="0.6", lw=0.7)
        axes.set_xlabel(f"distance from {made.asked.dopant} (Å)", fontsize=8)
        axes.set_title(f"change of {kind.capitalize()} charges (e)", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    places[0].legend(fontsize=7)
    figure.savefig(path)


def _unit(name: str) -> str:
    said = unit(name)
    return "" if said in ("", "fraction of beam") else f" ({said})"


def _rows(made: Pilot, columns: Sequence[tuple[str, Sequence[Floats], bool]], path: Path) -> None:
    """Three pictures a column: without, with, difference; ``columns``: title, both, whether they have a sign.

    A single column lies on its side.
    """
    size = made.host.result.images.scan.size
    repeats = tuple(max(1, int(np.ceil(LEAST / length))) for length in size)
    width, height = (length * n for length, n in zip(size, repeats, strict=True))
    scale = min(WIDTH / width, HEIGHT / height)
    across, down = (len(columns), 3) if len(columns) > 1 else (3, 1)
    figure = blank_figure((scale * width + 1.0) * across + 0.4, (scale * height + 0.5) * down + 0.3)
    places = figure.subplots(down, across, squeeze=False).reshape(3, len(columns))
    for column, (title, (one, two), signed) in enumerate(columns):
        ends = _ends([one, two], signed)
        difference = two - one
        for row, values in enumerate((one, two, difference)):
            colour = signed or row == 2
            low, high = ends if row < 2 else _ends([difference], True)
            axes = places[row, column]
            drawn = axes.imshow(
                np.tile(values, repeats).T,
                extent=(0, width, height, 0),
                cmap="RdBu_r" if colour else "gray",
                vmin=low,
                vmax=high,
                interpolation="nearest",
            )
            _mark(axes, made, size, repeats)
            axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
            axes.set_title(f"{title}, {ROWS[row]}" if len(columns) > 1 else f"{ROWS[row]}", fontsize=7)
            bar = figure.colorbar(drawn, ax=axes, shrink=0.85)
            bar.ax.tick_params(labelsize=6)
            scale_bar(axes, (width, height))
    if len(columns) == 1:
        figure.suptitle(columns[0][0], fontsize=8)
    figure.savefig(path)


def _mark(axes: Any, made: Pilot, size: tuple[float, float], repeats: tuple[int, ...]) -> None:
    """Rings around the columns with a dopant."""
    cell = made.doped.result.specimen.cell
    places = cell.structure.positions[np.isin(cell.atom_index, made.dopants), :2]
    for x, y in places % np.array(size):
        for i in range(repeats[0]):
            for j in range(repeats[1]):
                axes.plot(
                    x + i * size[0], y + j * size[1], "o", ms=11, mfc="none", mec="tab:green", mew=0.9, clip_on=False
                )


def _ends(values: Sequence[Floats], signed: bool) -> tuple[float, float]:
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    if signed:
        high = max(-low, high) or 1.0
        return -high, high
    return low, high if high > low else low + 1.0
