"""Pictures for people: grey images with a scale bar, crystal directions, and what they were made from."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.figures import blank_figure
from rhotem.core.units import wavelength
from rhotem.microscope.diffraction import SPOT_ANGLE, Diffraction
from rhotem.microscope.images import ImageSet, unit

#: Widths of scale bars in Å.
BARS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
#: Least width in Å that a periodic image is repeated to before it is drawn.
LEAST_WIDTH = 12.0
#: Width in inches of a panel, twice that of large scans, and its resolution.
WIDTH, DPI = 4.2, 150
#: Pixel in Å of noise-free pictures.
PIXEL = 0.05
#: Part of its maximum down to which the pattern of a probe is drawn: the disc outshines thermal scattering so much.
PATTERN_RANGE = 1e-5
#: Diffuse scattering is drawn black and white at these multiples of its maximum, so that spots stand out; what is
#: none (per mrad²): rounding.
DENSITY_RANGE, LEAST_DENSITY = (0.02, 5.0), 1e-12
#: Faintest spot that is drawn, as a fraction of the beam.
FAINTEST = 1e-6
#: Width of a letter of a headline, as a part of its height.
LETTER = 0.6
#: Of what others wrote, as names of files: a dollar is no formula.
_AS_IT_IS: dict[str, Any] = {"parse_math": False}
#: Spots that are named at most, and how far apart as a part of the picture's width.
NAMED, APART = 40, 0.06


def draw_images(
    images: ImageSet, path: str | Path, caption: dict[str, Any], names: Sequence[str] | None = None
) -> None:
    """Draw images side by side as PNG, seen from the source: x to the right, y downwards, one grey bar each.

    Parameters
    ----------
    images : ImageSet
        A periodic scan is repeated to a size the eye can read; one cell is outlined.
    path : path
    caption : dict
        Keys ``specimen``, ``labels``, ``source``, ``no_tds``, ``dose``, ``energy_keV``, ``convergence_mrad``,
        ``thickness_nm``, ``lens`` (defocus and aberrations in words), ``angles`` (detector angles by image),
        ``errors`` (by thermal motion, by image), ``scales`` (what rad means for atoms, by image).
    names : sequence of str or None
        None: what microscopists show, that is no deflection components.
    """
    chosen = list(names) if names else [n for n in images.images if not n.endswith(("x", "y"))]
    noisy = caption.get("dose") is not None
    shown = images.resampled(PIXEL) if images.scan.periodic and not noisy else images
    # Counting noise does not repeat with the cell.
    repeats = _repeats(images) if images.scan.periodic and not noisy else (1, 1)
    width, height = (s * r for s, r in zip(images.scan.size, repeats, strict=True))
    # a scan of many probes has more to show
    widest = min(max(WIDTH, repeats[0] * images.scan.shape[0] / DPI), 2 * WIDTH)
    scale = min(widest / width, 5.0 / height)
    panel = (max(3.0, scale * width + 0.9), max(2.0, scale * height + 1.0))
    columns = min(len(chosen), 4)
    rows = -(-len(chosen) // columns)
    figure = blank_figure(panel[0] * columns, panel[1] * rows + 0.6, dpi=DPI)
    scales = {name: scale for name, scale in caption.get("scales", {}).items() if name in chosen}
    _title(figure, {**caption, "scales": scales}, 8 if columns > 1 else 6.5)
    for i, name in enumerate(chosen):
        axes = figure.add_subplot(rows, columns, i + 1)
        _panel(figure, axes, np.tile(shown[name], repeats), (width, height), name, caption)
        if images.scan.periodic and max(repeats) > 1:
            _outline(axes, images.scan.size)
    figure.savefig(path)


def draw_pacbed(
    images: ImageSet, path: str | Path, caption: dict[str, Any], spots: Sequence[dict[str, Any]] = ()
) -> None:
    """Draw the diffraction pattern as PNG, grey by the logarithm: k_x to the right, k_y downwards, in mrad.

    Under parallel illumination elastic spots are drawn as discs over the density of diffuse scattering. The strongest
    of ``spots`` (rows of `Diffraction.spots` or `rhotem.microscope.discs.indexed_discs`) get their indices.
    """
    from matplotlib.colors import LogNorm

    figure = blank_figure(4.6, 4.4, dpi=150)
    _title(figure, {**caption, "scales": {}}, 6.5)
    axes = figure.add_subplot()
    if images.plane_wave is not None:
        _draw_spots(figure, axes, images.plane_wave)
    else:
        x, y = (0.5 * n * step for n, step in zip(images.diffraction.shape, images.angular_step, strict=True))
        most = float(images.diffraction.max()) or 1.0
        norm = LogNorm(PATTERN_RANGE * most, most, clip=True)
        drawn = axes.imshow(images.diffraction.T, extent=(-x, x, y, -y), cmap="gray", norm=norm)
        title = "PACBED (fraction of the beam per pixel, log scale)"
        if images.record.get("plan", {}).get("shared"):
            title += "\nevery pixel from one thermal configuration"
        axes.set_title(title, fontsize=9 if "\n" not in title else 7)
        figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02).ax.tick_params(labelsize=6)
    _name_spots(axes, images, spots)
    axes.set_xlabel("k$_x$ (mrad)", fontsize=7)
    axes.set_ylabel("k$_y$ (mrad)", fontsize=7)
    axes.tick_params(labelsize=6)
    if caption.get("no_tds"):
        axes.text(0.98, 0.98, "no TDS", transform=axes.transAxes, ha="right", va="top", fontsize=8, **_ON_GREY)
    figure.savefig(path)


def _draw_spots(figure: Any, axes: Any, pattern: Diffraction) -> None:
    """Elastic spots within `SPOT_ANGLE` as discs, diffuse scattering as a smooth density per mrad² behind them."""
    from matplotlib.colors import LogNorm

    axes.set_facecolor("black")
    axes.set(aspect="equal", xlim=(-SPOT_ANGLE, SPOT_ANGLE), ylim=(SPOT_ANGLE, -SPOT_ANGLE))
    density = pattern.smooth_density
    most = float(density.max())
    if most > LEAST_DENSITY:
        x, y = (0.5 * n * step for n, step in zip(density.shape, pattern.diffuse_step, strict=True))
        low, high = (most * limit for limit in DENSITY_RANGE)
        norm, extent = LogNorm(low, high, clip=True), (-x, x, y, -y)
        drawn = axes.imshow(density.T, extent=extent, cmap="gray", norm=norm, interpolation="bilinear", zorder=0)
        bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
        bar.set_label("diffuse, fraction of the beam per mrad²", fontsize=6)
        bar.ax.tick_params(labelsize=6)
    rows = [r for r in pattern.spots() if r["intensity"] > FAINTEST] if pattern.separated else []
    step = np.array(pattern.step)
    k = np.array([(r["i"], r["j"]) for r in rows]).reshape(-1, 2) * step
    level = np.log10([r["intensity"] for r in rows])
    area = 1.0 + 24.0 * (1 + level / -np.log10(FAINTEST)) ** 2
    drawn = axes.scatter(*k[::-1].T, s=area[::-1], c=level[::-1], cmap="inferno", vmin=-7.5, vmax=-0.5, lw=0)
    if rows:
        bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02, location="bottom", shrink=0.7, aspect=40)
        bar.set_label("elastic spots, log$_{10}$ of the beam fraction", fontsize=6)
        bar.ax.tick_params(labelsize=6)
    parts = pattern.record()
    title = "diffraction: one configuration, elastic and diffuse not told apart"
    if pattern.separated:
        title = f"diffraction: {100 * parts['elastic']:.1f} % elastic, {100 * parts['diffuse']:.1f} % diffuse"
    axes.set_title(title, fontsize=7)


def _name_spots(axes: Any, images: ImageSet, spots: Sequence[dict[str, Any]]) -> None:
    """Indices over the strongest spots that lie apart, under the beam's own disc where there are discs."""
    cell = images.record.get("reciprocal", {}).get("cell_A")
    if not spots or not cell or "h" not in spots[0]:
        return
    spacing = 1e3 * wavelength(images.record["microscope"]["energy"]) / np.array(cell)
    span, placed = float(np.ptp(axes.get_xlim())), [np.full(2, np.inf)]
    below = 0.01 * span + (0.0 if images.plane_wave else images.record["microscope"]["convergence"])
    for row in spots:
        place = np.array([row["i"], row["j"]]) * spacing
        seen = np.abs(place[0]) < 0.47 * span and np.abs(place[1]) < 0.45 * span
        if row["h"] is None or not seen or min(np.hypot(*(place - other)) for other in placed) < APART * span:
            continue
        placed.append(place)
        text = "".join(rf"\bar{{{-n}}}" if n < 0 else str(n) for n in (row["h"], row["k"], row["l"]))
        axes.text(place[0], place[1] + below, f"${text}$", color="tab:cyan", fontsize=5, ha="center", va="top")
        if len(placed) > NAMED:
            return


def _repeats(images: ImageSet) -> tuple[int, int]:
    """Odd-looking cells are easier to read twice; stop before pictures get long."""
    nx, ny = (max(1, int(np.ceil(LEAST_WIDTH / s - 0.3))) for s in images.scan.size)
    return nx, ny


def _panel(
    figure: Any, axes: Any, image: npt.NDArray, size: tuple[float, float], name: str, caption: dict[str, Any]
) -> None:
    drawn = axes.imshow(image.T, extent=(0, size[0], size[1], 0), cmap="gray", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    labels = caption.get("labels", {})
    axes.set_xlabel(f"{labels['x']} →" if labels.get("x") else "x →", fontsize=7, **_AS_IT_IS)
    axes.set_ylabel(f"{labels['up']} →" if labels.get("up") else "← y", fontsize=7, **_AS_IT_IS)
    seen = caption.get("angles", {}).get(name, "")
    error = caption.get("errors", {}).get(name, "")
    named = caption.get("units", {}).get(name) or unit(name)
    quantity = ", ".join(x for x in (named, caption.get("scales", {}).get(name, "")) if x)
    quantity = quantity or ("fraction of beam" if seen else "")
    axes.set_title(" ".join(x for x in (name, seen, f"({quantity})" if quantity else "", error) if x), fontsize=9)
    # as high as the image, whatever its shape
    bar = figure.colorbar(drawn, cax=axes.inset_axes((1.02, 0.0, 0.035, 1.0)))
    bar.ax.tick_params(labelsize=6)
    scale_bar(axes, size)
    if caption.get("no_tds"):
        axes.text(0.98, 0.98, "no TDS", transform=axes.transAxes, ha="right", va="top", fontsize=8, **_ON_GREY)


_ON_GREY: dict[str, Any] = {
    "color": "black",
    "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
}


def scale_bar(axes: Any, size: tuple[float, float], unit: str = "Å", *, scale: float = 1.0, share: float = 0.4) -> None:
    """A bar of a round length in the lower left of axes.

    Parameters
    ----------
    axes : matplotlib axes
    size : (float, float)
        Their sides, width first, in units of the axes.
    unit : str
        Of lengths.
    scale : float
        Length of one unit of the axes: that of a pixel, where they are in pixels.
    share : float
        Part of the width that the bar takes at most.
    """
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    length = max((b for b in BARS if b <= share * size[0] * scale), default=BARS[0])
    text = f"{length / 10:g} nm" if unit == "Å" and length >= 10 else f"{length:g} {unit}"
    bar = AnchoredSizeBar(
        axes.transData,
        length / scale,
        text,
        "lower left",
        pad=0.3,
        borderpad=0.3,
        sep=2,
        frameon=True,
        color="white",
        size_vertical=0.008 * max(size),
        fontproperties={"size": 7},
    )
    bar.patch.set(facecolor="black", alpha=0.5, edgecolor="none")
    axes.add_artist(bar)


def _outline(axes: Any, cell: tuple[float, float]) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((0, 0), *cell, fill=False, edgecolor="tab:orange", lw=0.8, ls="--"))


def _title(figure: Any, caption: dict[str, Any], size: float) -> None:
    """Put the headline above a figure, in lines that are not wider than it."""
    most = int(figure.get_figwidth() * 72 / (LETTER * size))
    lines = [part for line in _headline(caption).split("\n") for part in wrap(line, most) or [""]]
    figure.suptitle("\n".join(lines), fontsize=size, **_AS_IT_IS)


def _headline(caption: dict[str, Any]) -> str:
    labels = caption.get("labels", {})
    parts = [
        caption.get("specimen", ""),
        f"zone {labels['zone']}" if labels.get("zone") else "",
        f"{caption['thickness_nm']:.1f} nm" if caption.get("thickness_nm") else "",
        f"{caption['energy_keV']:g} kV, {caption['convergence_mrad']:g} mrad" if caption.get("energy_keV") else "",
        f"{caption['dose']:g} e/Å²" if caption.get("dose") else "",
    ]
    first = ", ".join(part for part in parts if part)
    if caption.get("lens"):
        first += "\n" + caption["lens"]
    origins = [f"density: {caption['source']}"] if caption.get("source") else []
    origins += [f"⟨u²⟩: {caption['motion']}"] if caption.get("motion") else []
    origins += (
        ["iDPC: thin atoms higher than in iCoM by the factor ×, slow phases equal"] if caption.get("scales") else []
    )
    origins += ["±: thermal motion, of the range at columns, 1 σ"] if caption.get("errors") else []
    return "\n".join([first, *([", ".join(origins)] if origins else [])])
