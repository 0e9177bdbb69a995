"""A fit of a pattern in a figure: measured, simulated, what they differ by, line profiles and the thickness."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.figures import blank_figure
from rhotem.experiment.fit.contrast import COMPARED
from rhotem.experiment.fit.pacbed import PatternFit
from rhotem.experiment.fit.refine import contrast_at

#: −ln likelihood shown at most, and that of 68 % and 95 % of one parameter.
HIGHEST, LEVELS = 12.0, {"68 %": 0.5, "95 %": 1.92}
#: Odds that are not told apart from none.
LEAST_ODDS = 1e-6
#: Half the width in bins of the strip that line profiles are the mean of.
STRIP = 1
#: Length in mrad of the scale bar.
BAR = 5.0


def draw_fit(fit: PatternFit, path: str | Path) -> None:
    """Draw a fit as PNG."""
    figure = blank_figure(11.5, 7.2, dpi=120)
    axes = figure.subplots(2, 3)
    highest = float(np.percentile(fit.measured, 99.8))
    for place, image, word in ((axes[0, 0], fit.measured, "measured"), (axes[0, 1], fit.simulated, "simulated")):
        _show(place, fit, image, {"cmap": "gray", "vmin": 0.0, "vmax": highest})
        place.set_title(word, fontsize=9)
    _crystal_axes(axes[0, 1], fit)
    difference = fit.measured - fit.simulated
    most = float(np.percentile(np.abs(difference), 99.5))
    drawn = _show(axes[0, 2], fit, difference, {"cmap": "RdBu_r", "vmin": -most, "vmax": most})
    figure.colorbar(drawn, ax=axes[0, 2], shrink=0.8).ax.tick_params(labelsize=7)
    axes[0, 2].set_title("measured − simulated, mean of the disc 1", fontsize=9)
    contrast = contrast_at(fit.model, fit.setting)
    pair = np.where(np.indices(fit.measured.shape)[1] < fit.measured.shape[1] // 2, fit.measured, fit.simulated)
    joined = np.where(contrast.mask, contrast.fringes(pair), np.nan)
    high = float(np.nanpercentile(np.abs(joined), 99))
    _show(axes[1, 0], fit, joined, {"cmap": "gray", "vmin": -high, "vmax": high})
    axes[1, 0].set_title("fringes: measured (left half), simulated (right half)", fontsize=9)
    _profiles(axes[1, 1], fit)
    _thickness(axes[1, 2], fit)
    lines = str(fit).split("; ")
    figure.suptitle("\n".join(lines), fontsize=9)
    figure.savefig(path)


def _show(axes: Any, fit: PatternFit, image: npt.NDArray[np.floating], how: dict[str, Any]) -> Any:
    """One picture, as on the detector, with a scale bar."""
    frame, setting = fit.model.frame, fit.setting
    half = 0.5 * frame.bin
    extent = (frame.x[0, 0] - half, frame.x[0, -1] + half, frame.y[-1, 0] + half, frame.y[0, 0] - half)
    drawn = axes.imshow(image, extent=extent, interpolation="nearest", **how)
    axes.set(xticks=[], yticks=[])
    left, bottom = extent[0] + 0.05 * (extent[1] - extent[0]), extent[2] - 0.06 * (extent[2] - extent[3])
    axes.plot([left, left + BAR * setting.scale], [bottom, bottom], color="tab:orange", lw=3, solid_capstyle="butt")
    axes.text(left, bottom - 0.02 * (extent[2] - extent[3]), f"{BAR:g} mrad", color="tab:orange", fontsize=8)
    return drawn


def _crystal_axes(axes: Any, fit: PatternFit) -> None:
    """Where kx and ky of the crystal point, and the zone axis."""
    s = fit.setting
    length = 0.45 * s.scale * s.convergence
    turned = {"$k_x$": (np.cos(s.rotation), np.sin(s.rotation)), "$k_y$": (-np.sin(s.rotation), np.cos(s.rotation))}
    for word, (x, y) in turned.items():
        end = s.right + s.hand * length * x, s.down + length * y
        axes.annotate("", end, (s.right, s.down), arrowprops={"arrowstyle": "->", "color": "tab:cyan"})
        axes.text(*end, word, color="tab:cyan", fontsize=9)
    co, si = np.cos(s.rotation), np.sin(s.rotation)
    # the beam leans by the tilt, so that the zone axis lies opposite
    zone = s.hand * (-co * s.tilt_x + si * s.tilt_y), -si * s.tilt_x - co * s.tilt_y
    axes.plot(s.right + s.scale * zone[0], s.down + s.scale * zone[1], "+", color="tab:red", ms=9, label="zone axis")
    axes.legend(fontsize=7, loc="upper right")


def _profiles(axes: Any, fit: PatternFit) -> None:
    """Intensities along a line through the beam."""
    frame, s = fit.model.frame, fit.setting
    row = int(np.argmin(np.abs(frame.y[:, 0] - s.down)))
    rows = slice(max(0, row - STRIP), row + STRIP + 1)
    angle = (frame.x[0] - s.right) / s.scale
    axes.plot(angle, fit.measured[rows].mean(axis=0), color="black", lw=1.2, label="measured")
    axes.plot(angle, fit.simulated[rows].mean(axis=0), color="tab:orange", lw=1.2, label="simulated")
    reach = COMPARED * s.convergence
    axes.set(xlim=(-1.15 * reach, 1.15 * reach), ylim=(0, None))
    for side in (-reach, reach):
        axes.axvline(side, color="0.7", lw=0.8, ls=":")
    axes.set_xlabel("angle to the right of the beam (mrad); dotted: compared", fontsize=8)
    axes.set_ylabel("intensity, mean of the disc 1", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7)


def _thickness(axes: Any, fit: PatternFit) -> None:
    """Profile likelihood of the thickness, and rival minima."""
    depths, costs = fit.profile
    axes.plot(0.1 * depths, costs, "o-", color="black", ms=3, lw=1.2)
    for word, level in LEVELS.items():
        axes.axhline(level, color="tab:blue", lw=0.8, ls="--")
        axes.text(
            0.98,
            level,
            word,
            fontsize=7,
            color="tab:blue",
            va="bottom",
            ha="right",
            transform=axes.get_yaxis_transform(),
        )
    for rival in fit.rivals[1:]:
        axes.axvline(0.1 * rival.setting.thickness, color="tab:red", lw=0.8, ls=":")
    shown = 0.1 * depths[costs < HIGHEST]
    margin = max(0.25 * float(np.ptp(shown)), 0.05)
    axes.set(ylim=(-0.3, HIGHEST), xlim=(shown[0] - margin, shown[-1] + margin))
    others = ", ".join(f"{0.1 * r.setting.thickness:.1f} nm {_odds(r.odds)}" for r in fit.rivals[1:4])
    axes.set_title(f"other minima (odds): {others}" if others else "no other minimum", fontsize=7)
    axes.set_xlabel("thickness (nm)", fontsize=8)
    axes.set_ylabel("−ln likelihood, all else fitted again", fontsize=8)
    axes.tick_params(labelsize=7)


def _odds(odds: float) -> str:
    return f"{odds:.1e}" if odds > LEAST_ODDS else f"below {LEAST_ODDS:g}"
