"""A fit of images in a figure: measured, simulated, and what they differ by in standard deviations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.core.figures import blank_figure
from rhotem.experiment.fit.images.fit import ImageFit

Array = npt.NDArray[np.float64]

#: Residuals drawn at most, in standard deviations.
MOST = 4.0


def draw_images(fit: ImageFit, path: str | Path) -> None:
    """Draw a row for every detector as PNG."""
    model = fit.model
    shown = model.shown(fit.state)
    rows = [
        (one.name, np.asarray(one.values, dtype=float), shown[n].reshape(model.shape), fit.best.residual[n])
        for n, one in enumerate(model.images)
    ]
    draw_rows(rows, str(fit).replace(", C12a", "\nC12a"), path)


def draw_rows(rows: Sequence[tuple[str, Array, Array, Array]], title: str, path: str | Path) -> None:
    """Name, measured, simulated and residual (simulated − measured, in standard deviations) of images as PNG."""
    figure = blank_figure(9.6, 0.9 + 3.1 * len(rows), dpi=120)
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for row, (name, measured, simulated, wrong) in enumerate(rows):
        low, high = (float(v) for v in np.percentile(measured, (0.5, 99.5)))
        for place, image, word in ((axes[row, 0], measured, "measured"), (axes[row, 1], simulated, "simulated")):
            drawn = place.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            place.set_title(f"{name} {word}", fontsize=8)
        figure.colorbar(drawn, ax=axes[row, 1], shrink=0.8).ax.tick_params(labelsize=6)
        residual = -wrong.reshape(measured.shape)
        drawn = axes[row, 2].imshow(residual, cmap="RdBu_r", vmin=-MOST, vmax=MOST, interpolation="nearest")
        figure.colorbar(drawn, ax=axes[row, 2], shrink=0.8).ax.tick_params(labelsize=6)
        axes[row, 2].set_title("measured − simulated, standard deviations", fontsize=8)
    for place in axes.ravel():
        place.set(xticks=[], yticks=[])
    figure.suptitle(title, fontsize=9)
    figure.savefig(path)
