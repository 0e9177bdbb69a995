"""Columns of an image as a table and as maps."""

import csv
from pathlib import Path

import numpy as np

from rhotem.experiment.columns.gaussians import FittedColumns
from rhotem.experiment.columns.strain import Strain
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.picture import new_figure

#: Columns of the table whose error stands beside them.
WITH_ERROR = ("x_px", "y_px", "height", "width_px", "volume", "mean", "shift_x_A", "shift_y_A")
NAMES = [
    *("element", "cell_x", "cell_y"),
    *(part for name in WITH_ERROR for part in (name, f"{name}_error")),
    *("strain_xx", "strain_yy", "strain_xy", "rotation_rad"),
]


def write_columns(columns: FittedColumns, strain: Strain, path: str | Path) -> None:
    """One row for every fitted column; displacements and strain against the lattice of the structure."""
    with open(path, "w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(NAMES)
        for i in np.flatnonzero(columns.fitted):
            numbers = [
                *_pairs(columns.places[i], columns.place_errors[i]),
                *(columns.heights[i], columns.height_errors[i], columns.widths[i], columns.width_errors[i]),
                *(columns.volumes[i], columns.volume_errors[i], columns.means[i], columns.mean_errors[i]),
                *_pairs(strain.displacements[i], strain.displacement_errors[i]),
                *(strain.xx[i], strain.yy[i], strain.xy[i], strain.rotation[i]),
            ]
            table.writerow([columns.labels[i], *columns.cells[i], *(f"{v:.6g}" for v in numbers)])


def _pairs(values: np.ndarray, errors: np.ndarray) -> list[float]:
    return [float(v) for pair in zip(values, errors, strict=True) for v in pair]


def draw_columns(measurement: Measurement, columns: FittedColumns, strain: Strain, path: str | Path) -> None:
    """Draw intensity, displacement and strain of every column over the image."""
    figure, places = new_figure(3, width=4.4, height=4.6)
    heaviest = int(np.argmax(columns.lattice.projection.weights))
    shown = columns.fitted & (columns.kinds == heaviest)
    x, y = columns.places[shown].T
    label = columns.lattice.projection.labels[heaviest]
    size = max(4.0, 16000 / max(shown.sum(), 1))
    moved = strain.displacements[shown]
    limit = 100 * float(np.nanpercentile(np.abs(strain.xx[shown]), 98)) if np.isfinite(strain.xx[shown]).any() else 1.0
    panels = (
        (columns.volumes[shown], "viridis", None, f"intensity of {label} (above its surroundings × px²)"),
        (np.hypot(*moved.T), "magma", None, f"displacement of {label} (Å)"),
        (100 * strain.xx[shown], "RdBu_r", limit, f"strain of {label} along x of the crystal (%)"),
    )
    for axes, (values, cmap, most, title) in zip(places, panels, strict=True):
        axes.set(xlim=(0, measurement.data.shape[1]), ylim=(measurement.data.shape[0], 0), aspect="equal")
        low = None if most is None else -most
        drawn = axes.scatter(x, y, c=values, s=size, cmap=cmap, vmin=low, vmax=most, lw=0, marker="s")
        figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02).ax.tick_params(labelsize=6)
        axes.set_title(title, fontsize=8)
        axes.tick_params(labelsize=6)
    # arrows in the image, which may be turned against the crystal
    arrows = (columns.places - columns.expected)[shown]
    places[1].quiver(x, y, *arrows.T, color="tab:cyan", angles="xy", width=0.003, headwidth=4)
    figure.savefig(path)
