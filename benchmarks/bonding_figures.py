"""Figures of docs/bonding-in-cathodes.md."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bonding_page import Curve, Spot

#: Images; True: the excess over the mean in rad, else (I - mean)/mean.
IMAGES = {"HAADF": False, "ABF": False, "iDPC": True, "iCoM": True}
NAMES = {"HAADF": "HAADF", "ABF": "ABF", "iDPC": "iDPC", "iCoM": "CoM, integrated"}
#: Colours that the colour blind tell apart (Okabe & Ito), markers beside them.
COLOURS = {"Li": ("#009E73", "o"), "O": ("#D55E00", "s"), "P": ("#CC79A7", "v")}
METALS = (("#0072B2", "^"), ("#56B4E9", "D"), ("#E69F00", "P"))
TITLES = {
    "LiCoO2": "LiCoO$_2$ [100]",
    "LiNiO2": "LiNiO$_2$ [100]",
    "NMC": "Li$_6$Ni$_4$MnCoO$_{12}$ [100]",
    "LiMn2O4": "LiMn$_2$O$_4$ [110]",
    "LiFePO4": "LiFePO$_4$ [010]",
    "Li2MnO3": "Li$_2$MnO$_3$ [100]",
}


def style(labels: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of every kind of column."""
    metals = [label for label in labels if label not in COLOURS]
    return {**COLOURS, **dict(zip(metals, METALS, strict=False))}


def draw_contrast(every: "list[Curve]", path: Path) -> None:
    """Learned minus free atoms over thickness: phases across, images down."""
    from matplotlib.figure import Figure

    phases = list(dict.fromkeys(c.phase for c in every))
    figure = Figure(figsize=(2.55 * len(phases), 8.4), layout="constrained", dpi=95)
    axes = figure.subplots(len(IMAGES), len(phases), squeeze=False)
    for column, phase in enumerate(phases):
        own = [c for c in every if c.phase == phase]
        drawn = style([c.column for c in own if c.image == "ABF"])
        for row, image in enumerate(IMAGES):
            here = axes[row, column]
            for c in (c for c in own if c.image == image):
                colour, marker = drawn[c.column]
                scale = 1e3 if IMAGES[image] else 1e2
                bars = {"color": colour, "marker": marker, "ms": 3.5, "lw": 1.1, "capsize": 1.5}
                here.errorbar(c.thickness, scale * c.difference, scale * c.phonons, label=c.column, **bars)
                band = np.isfinite(c.density)
                low, high = (scale * (c.difference + sign * c.density)[band] for sign in (-1, 1))
                here.fill_between(c.thickness[band], low, high, color=colour, alpha=0.25, lw=0)
                if "dft" in c.values:
                    apart = c.values["dft"] - c.values["free_with_dft"]
                    here.plot(c.thickness, scale * apart, marker="x", ls="none", color="black", ms=4)
            here.axhline(0.0, color="black", lw=0.5)
            here.tick_params(labelsize=7)
            if row == 0:
                here.set_title(TITLES[phase], fontsize=9)
                here.legend(fontsize=6.5, ncols=2, handlelength=1.2, columnspacing=0.8)
            if column == 0:
                here.set_ylabel(
                    f"{NAMES[image]}\n({'10$^{-3}$ rad' if IMAGES[image] else '% of the mean'})", fontsize=8
                )
            if row == len(IMAGES) - 1:
                here.set_xlabel("thickness (nm)", fontsize=8)
    figure.savefig(path)


def draw_spots(every: "list[Spot]", path: Path) -> None:
    """Intensity over that of free atoms."""
    from matplotlib.figure import Figure

    phases = list(dict.fromkeys(s.phase for s in every))
    figure = Figure(figsize=(2.55 * len(phases), 2.9), layout="constrained", dpi=95)
    axes = np.atleast_1d(figure.subplots(1, len(phases)))
    for here, phase in zip(axes, phases, strict=True):
        for s, (colour, marker) in zip((s for s in every if s.phase == phase), METALS, strict=False):
            label = "(" + " ".join(map(str, s.hkl)) + ")"
            bars = {"color": colour, "marker": marker, "ms": 3.5, "lw": 1.1, "capsize": 1.5}
            here.errorbar(s.thickness, s.ratio["learned"], s.phonons["learned"], label=label, **bars)
            if "dft" in s.ratio:
                here.plot(s.thickness, s.ratio["dft"], "x", color="black", ms=4)
        here.axhline(1.0, color="black", lw=0.5)
        here.set_title(TITLES[phase], fontsize=9)
        here.set_xlabel("thickness (nm)", fontsize=8)
        here.tick_params(labelsize=7)
        here.legend(fontsize=6.5)
    axes[0].set_ylabel("intensity / free atoms", fontsize=8)
    figure.savefig(path)


def draw_defects(listed: list[dict[str, Any]], path: Path) -> None:
    """Dose for d′ = 5."""
    from matplotlib.figure import Figure

    images = ("HAADF", "ABF", "iDPC", "iCoM", "SSB", "ring", "4D", "pixels")
    colours = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#777777")
    marks = dict(zip(images, zip(colours, "sovD^P*X", strict=True), strict=True))
    figure = Figure(figsize=(7.6, 3.4), layout="constrained", dpi=95)
    axes = figure.subplots()
    for place, row in enumerate(listed):
        for number, image in enumerate(i for i in images if i in row):
            colour, marker = marks[image]
            label = image if place == 0 or image not in listed[0] else None
            axes.plot(place + 0.09 * (number - 3), row[image], marker, color=colour, ms=7, ls="none", label=label)
    axes.set_xticks(range(len(listed)), [f"{r['feature']}\n{r['nm']} nm" for r in listed], fontsize=8)
    axes.set(yscale="log")
    axes.set_ylabel("dose for d′ = 5 (e/Å²)", fontsize=9)
    axes.grid(axis="y", lw=0.3)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), fontsize=8, ncols=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.savefig(path)
