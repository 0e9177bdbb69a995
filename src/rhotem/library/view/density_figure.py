"""Slice and map of error bars of an entry as one picture, for its report."""

from pathlib import Path
from typing import Any

from rhotem.core.figures import blank_figure
from rhotem.library.density.slices import SIDE, slice_of
from rhotem.library.view.densities import error_map, first_plane, scale_of, words_of_map, words_of_slice
from rhotem.library.view.entries import Opened
from rhotem.library.view.settings import ViewSettings
from rhotem.microscope.pictures import scale_bar

_ON_COLOUR: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}


def draw_density(opened: Opened, settings: ViewSettings, path: Path) -> str:
    """Draw what the view shows of the density where it begins; returns its caption.

    Raises
    ------
    InputError
        If the entry keeps no summary.
    """
    held = opened.summary()
    plane = first_plane(held)
    cut = slice_of(held, plane.indices, plane.height)
    shown, most = error_map(opened, settings), scale_of(cut)
    figure = blank_figure(4.6 if shown is None else 9.0, 4.0)
    places = figure.subplots(1, 1 if shown is None else 2, squeeze=False)[0]
    colours: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    drawn = places[0].imshow(cut.values.T, origin="lower", extent=(0, SIDE, 0, SIDE), **colours)
    for label, (u, v) in zip(cut.labels, cut.places, strict=True):
        places[0].plot(u, v, "o", mfc="none", mec="black", ms=5, mew=0.7)
        places[0].annotate(label, (u, v), xytext=(3, 3), textcoords="offset points", fontsize=6, bbox=_ON_COLOUR)
    places[0].set_xlabel(f"[{' '.join(map(str, cut.right))}] → (Å)", fontsize=7)
    places[0].set_title(f"Δn in {plane.name} (e/Å³)", fontsize=9)
    bars = [(drawn, places[0])]
    if shown is not None:
        width, height = shown.scan.size
        bars.append((places[1].imshow(shown.values.T, extent=(0, width, height, 0), vmin=0, cmap="viridis"), places[1]))
        places[1].set_title("90 % error bar of the projected potential (V)", fontsize=9)
        across = {} if settings.scan_rotation_deg else opened.entry.labels
        for axis, plain in (("x", "x →"), ("up", "← y")):
            label = f"{across[axis]} →" if across.get(axis) else plain
            (places[1].set_xlabel if axis == "x" else places[1].set_ylabel)(label, fontsize=7, parse_math=False)
        places[1].set_xticks([])
        places[1].set_yticks([])
        scale_bar(places[1], (width, height))
    for picture, axes in bars:
        figure.colorbar(picture, ax=axes, fraction=0.046, pad=0.02, extend="both" if axes is places[0] else "neither")
        axes.tick_params(labelsize=6)
    figure.savefig(path)
    return f"{words_of_slice(held, plane, cut)} {words_of_map(opened)}"
