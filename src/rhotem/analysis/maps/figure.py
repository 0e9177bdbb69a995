"""Picture of maps: atoms seen along a lattice vector, coloured, and profiles beside them on the same heights."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.maps.make import Maps
from rhotem.core.figures import blank_figure
from rhotem.structure.model import Structure

Floats = npt.NDArray[np.float64]

#: Elements with so many atoms at most are named in the picture: dopants.
FEW = 2
#: Inches: height of a picture, least and largest width of a panel. Å that narrow cells are repeated to.
HEIGHT, LEAST, LARGEST, LEAST_WIDTH = 5.2, 1.7, 6.0, 9.0


def draw(maps: Maps, title: str, path: Path) -> None:
    """Maps of atoms side by side, then profiles of Δn, of the charge gained and of the potential."""
    across, width, up = _view(maps.structure, maps.wanted.axis)
    copies = max(1, round(LEAST_WIDTH / width))
    panels = _panels(maps)
    profiles = 0 if maps.profile is None else 2 + ("potential" in maps.wanted.kinds)
    one = float(np.clip((HEIGHT - 1.2) * copies * width / up, LEAST, LARGEST))
    ratios = [one] * len(panels) + [1.7] * profiles
    figure = blank_figure(sum(ratios) + 0.9 * len(ratios) + 0.4, HEIGHT, dpi=150)
    places = figure.subplots(1, len(ratios), width_ratios=ratios, sharey=True, squeeze=False)[0]
    for axes, (name, values, kind) in zip(places, panels, strict=False):
        _atoms(figure, axes, maps, (across, width, copies), (name, values, kind))
    if maps.profile is not None:
        _profiles(places[len(panels) :], maps)
    places[0].set_ylim(0.0, up)
    places[0].set_ylabel(f"height across {'abc'[maps.wanted.axis]} (Å)", fontsize=8)
    for axes in places:
        axes.tick_params(labelsize=7)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path)


def _view(structure: Structure, axis: int) -> tuple[Floats, float, float]:
    """Place of atoms across the view in Å, width of the view, and the height of the cell.

    Seen along the shorter of the other two vectors.
    """
    cell = structure.cell
    one, two = (i for i in range(3) if i != axis)
    beam, side = (one, two) if np.linalg.norm(cell[one]) <= np.linalg.norm(cell[two]) else (two, one)
    along = cell[beam] / np.linalg.norm(cell[beam])
    right = cell[side] - (cell[side] @ along) * along
    width = float(np.linalg.norm(right))
    scaled = structure.atoms.get_scaled_positions(wrap=True)
    tilt = float(cell[axis] @ right / width)
    return (scaled[:, side] * width + scaled[:, axis] * tilt) % width, width, float(structure.heights[axis])


def _panels(maps: Maps) -> list[tuple[str, Floats, str]]:
    """Title, value of every atom, and "signed" or "plain"."""
    result: list[tuple[str, Floats, str]] = []
    if maps.strain is not None:
        result.append(("volume strain (%)", 100 * maps.strain.volumetric, "signed"))
        result.append(("displacement (Å)", np.linalg.norm(maps.strain.displacement, axis=1), "plain"))
    if maps.charge is not None:
        result.append(("charge − mean of the\nelement (e), Hirshfeld", _from_mean(maps, maps.charge), "signed"))
    if maps.valence is not None:
        result.append(("bond valence sum −\nmean of the element", _from_mean(maps, maps.valence), "signed"))
    return result


def _from_mean(maps: Maps, values: Floats) -> Floats:
    numbers = maps.structure.numbers
    means = {z: values[numbers == z].mean() for z in np.unique(numbers)}
    return values - np.array([means[z] for z in numbers])


def _atoms(figure: Any, axes: Any, maps: Maps, view: tuple[Floats, float, int], panel: tuple[str, Floats, str]) -> None:
    """Atoms of one map; ``view``: their places across, the width of the cell, and how often it is shown."""
    from ase.data import covalent_radii

    (place, width, copies), (name, values, kind) = view, panel
    across = np.concatenate([place + i * width for i in range(copies)])
    height, values = np.tile(maps.height, copies), np.tile(values, copies)
    symbols = maps.structure.atoms.get_chemical_symbols()
    named = [symbol if symbols.count(symbol) <= FEW else "" for symbol in symbols] * copies
    known = np.isfinite(values)
    largest = float(np.abs(values[known]).max(initial=0.0))
    largest = largest if largest > 1e-6 else 1e-6  # nothing but rounding is no picture
    low = -largest if kind == "signed" else 0.0
    size = np.tile(90 * covalent_radii[maps.structure.numbers] ** 2, copies) * min(1.0, 160.0 / len(values)) + 8
    axes.scatter(across[~known], height[~known], s=size[~known], facecolors="none", edgecolors="0.7", lw=0.6)
    drawn = axes.scatter(
        across[known],
        height[known],
        c=values[known],
        s=size[known],
        cmap="RdBu_r" if kind == "signed" else "viridis",
        vmin=low,
        vmax=largest,
        edgecolors="black",
        linewidths=0.3,
    )
    for x, y, symbol in zip(across, height, named, strict=True):
        if symbol:
            axes.annotate(symbol, (x, y), fontsize=6, ha="center", va="center", fontweight="bold")
    axes.set_xlim(0, copies * width)
    axes.set_aspect("equal", adjustable="box")
    axes.set_title(name, fontsize=8)
    bar = figure.colorbar(drawn, ax=axes, orientation="horizontal", pad=0.02, aspect=14)
    bar.ax.tick_params(labelsize=6)
    axes.set_xlabel("across (Å)", fontsize=7)


def _profiles(places: Any, maps: Maps) -> None:
    found = maps.profile
    assert found is not None
    places[0].plot(found.density, found.height, lw=1)
    places[0].axvline(0, color="0.7", lw=0.6)
    places[0].set_title("electrons gained, Δn\n(e/Å)", fontsize=8)
    places[1].plot(found.gained, found.height, lw=1)
    places[1].axvline(0, color="0.7", lw=0.6)
    places[1].set_title("its integral (e)", fontsize=8)
    if "potential" in maps.wanted.kinds:
        places[2].plot(found.potential, found.height, lw=1)
        label = "potential (V)"
        if found.potential_error is not None:
            bars = 1.645 * found.potential_error
            places[2].fill_betweenx(found.height, found.potential - bars, found.potential + bars, alpha=0.3, lw=0)
            label += "\nband: 90 %"
        places[2].set_title(label, fontsize=8)
