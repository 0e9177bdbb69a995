"""A fit of images in a figure: measured, simulated, and what they differ by in standard deviations."""

from pathlib import Path

import numpy as np

from rhotem.core.figures import blank_figure
from rhotem.experiment.fit.images.fit import ImageFit

#: Residuals drawn at most, in standard deviations.
MOST = 4.0


def draw_images(fit: ImageFit, path: str | Path) -> None:
    """Draw a row for every detector as PNG."""
    model, number = fit.model, len(fit.model.images)
    figure = blank_figure(9.6, 0.9 + 3.1 * number, dpi=120)
    axes = figure.subplots(number, 3, squeeze=False)
    shown = model.shown(fit.state).reshape(number, *model.shape)
    for row, one in enumerate(model.images):
        measured = np.asarray(one.values, dtype=float)
        low, high = (float(v) for v in np.percentile(measured, (0.5, 99.5)))
        for place, image, word in ((axes[row, 0], measured, "measured"), (axes[row, 1], shown[row], "simulated")):
            drawn = place.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
            place.set_title(f"{one.name} {word}", fontsize=8)
        figure.colorbar(drawn, ax=axes[row, 1], shrink=0.8).ax.tick_params(labelsize=6)
        residual = -fit.best.residual[row].reshape(model.shape)
        drawn = axes[row, 2].imshow(residual, cmap="RdBu_r", vmin=-MOST, vmax=MOST, interpolation="nearest")
        figure.colorbar(drawn, ax=axes[row, 2], shrink=0.8).ax.tick_params(labelsize=6)
        axes[row, 2].set_title("measured − simulated, standard deviations", fontsize=8)
    for place in axes.ravel():
        place.set(xticks=[], yticks=[])
    figure.suptitle(str(fit).replace(", C12a", "\nC12a"), fontsize=9)
    figure.savefig(path)
