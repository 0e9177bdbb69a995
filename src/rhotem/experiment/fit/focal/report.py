"""A fit of a focal series in a figure."""

from pathlib import Path

import numpy as np

from rhotem.experiment.fit.focal.fit import SeriesFit
from rhotem.experiment.fit.images.report import draw_rows

#: Images that are drawn at most, from all over the series.
MOST = 6


def draw_series(fit: SeriesFit, path: str | Path) -> None:
    """Draw measured, simulated and residual images as PNG."""
    number = len(fit.model.photos)
    chosen = np.unique(np.linspace(0, number - 1, min(number, MOST)).round().astype(int))
    shown, shape = fit.model.shown(fit.state), fit.model.shape
    rows = [
        (
            f"{0.1 * fit.foci[n]:.1f} nm",
            np.asarray(fit.model.photos[n].values, dtype=float),
            shown[n].reshape(shape),
            fit.best.residual[n],
        )
        for n in chosen
    ]
    draw_rows(rows, str(fit).replace(", C12a", "\nC12a").replace(", blur", "\nblur"), path)
