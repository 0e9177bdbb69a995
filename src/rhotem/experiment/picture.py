"""Pictures of measurements as PNG: grey values, a scale bar where the scale is known."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.figures import blank_figure
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.read.frames import good
from rhotem.microscope.pictures import scale_bar

#: Part of the width that a scale bar takes at most.
BAR = 0.3
#: Percentiles of an image that are drawn black and white.
GREY = (0.1, 99.9)
#: Patterns with a larger range than this are drawn on a logarithmic scale.
RANGE = 300.0


def new_figure(columns: int = 1, width: float = 5.2, height: float = 5.4) -> tuple[Any, list[Any]]:
    """A figure of panels side by side, and its axes."""
    figure = blank_figure(width * columns, height, dpi=130)
    return figure, list(np.ravel(figure.subplots(1, columns)))


def draw(measurement: Measurement, path: str | Path) -> None:
    """Draw what was recorded: an image, a pattern, the mean of a stack's good frames, or mean pattern and sum of 4D."""
    panels = _panels(measurement)
    figure, places = new_figure(len(panels))
    for axes, (title, data, scale, unit) in zip(places, panels, strict=True):
        show(axes, data, scale, unit)
        axes.set_title(title, fontsize=8)
    figure.suptitle(Path(measurement.source.path).name, fontsize=9)
    figure.savefig(path)


def _panels(measurement: Measurement) -> list[tuple[str, npt.NDArray[Any], float | None, str]]:
    data, scale = measurement.data, measurement.axes[-1].scale
    unit = measurement.axes[-1].unit
    size = " × ".join(map(str, data.shape))
    if measurement.kind == "image stack":
        chosen = good(data)
        number = f"{len(chosen)} of {len(data)}" if len(chosen) < len(data) else str(len(data))
        return [(f"mean of {number} frames, {size}", data[chosen].mean(axis=0, dtype=float), scale, unit)]
    if measurement.kind == "4D":
        mean = data.mean(axis=(0, 1), dtype=float)
        total = data.sum(axis=(2, 3), dtype=float)
        return [(f"mean pattern, {size}", mean, scale, unit), ("sum of every pattern", total, *_scan(measurement))]
    return [(f"{measurement.kind}, {size}", data, scale, unit)]


def _scan(measurement: Measurement) -> tuple[float | None, str]:
    return measurement.axes[1].scale, measurement.axes[1].unit


def show(axes: Any, data: npt.NDArray[Any], scale: float | None, unit: str, cmap: str = "gray") -> Any:
    """Draw one picture, row 0 on top, with a scale bar of its unit, or pixels along its edges."""
    from matplotlib.colors import LogNorm, Normalize

    values = np.asarray(data, dtype=float)
    low, high = np.percentile(values, GREY)
    norm: Any = Normalize(low, high if high > low else low + 1)
    if unit == "mrad":
        floor = max(float(np.percentile(values, 20)), 0.0)
        high = float(values.max())
        if high > RANGE * max(floor, high / 1e5):
            norm = LogNorm(max(floor, high / 1e5), high, clip=True)
    drawn = axes.imshow(values, cmap=cmap, norm=norm, interpolation="nearest")
    if scale is None:
        axes.tick_params(labelsize=6)
        axes.set_xlabel("pixels (no scale)", fontsize=7)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        scale_bar(axes, values.shape[::-1], unit, scale=scale, share=BAR)
    return drawn
