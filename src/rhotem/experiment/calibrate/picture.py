"""Pictures of calibrations: the lattice over its image, the mean cell, what rows did; the disc of a pattern."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.experiment.calibrate.cell import MeanCell
from rhotem.experiment.calibrate.disc import Disc
from rhotem.experiment.calibrate.lattice import ImageLattice
from rhotem.experiment.calibrate.rows import row_displacements
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.picture import new_figure, show

#: Width of the part of an image that is drawn, in cells, and the weight of the faintest column that is marked.
CELLS, MARKED = 7.0, 0.1


def draw_lattice(measurement: Measurement, lattice: ImageLattice, cell: MeanCell, path: str | Path) -> None:
    """Draw the middle of an image with its columns marked, the mean cell, and the displacements of rows."""
    figure, (first, second, third) = new_figure(3, width=4.4, height=4.8)
    _marked(first, measurement, lattice)
    axes = lattice.projection.axes
    drawn = show(second, np.tile(cell.mean, (2, 2)), cell.step[1], "Å")
    figure.colorbar(drawn, ax=second, fraction=0.046, pad=0.02)
    error = 100 * float(cell.error.mean() / np.ptp(cell.mean))
    second.set_title(f"mean of {cell.cells} cells, twice each way; error {error:.2g} % of the range", fontsize=8)
    second.set_xlabel(f"{axes['x']} →", fontsize=7)
    second.set_ylabel(f"{axes['up']} →", fontsize=7)
    rows = row_displacements(np.asarray(measurement.data, dtype=float), lattice.matrix, lattice.windows)
    for part, name in enumerate(("right", "down")):
        third.plot(rows.y, rows.values[:, part], lw=0.8, label=name)
    third.set_xlabel("row", fontsize=7)
    third.set_ylabel("displacement of rows beside constant drift (Å)", fontsize=7)
    third.tick_params(labelsize=6)
    third.legend(fontsize=7)
    figure.suptitle(f"{Path(measurement.source.path).name}: {lattice.pixel} Å per pixel", fontsize=9)
    figure.savefig(path)


def _marked(axes: Any, measurement: Measurement, lattice: ImageLattice) -> None:
    shape = measurement.data.shape
    cell = np.linalg.norm(lattice.projection.vectors, axis=1).min() / lattice.pixel.value
    width = int(min(CELLS * cell, *shape))
    top, left = (shape[0] - width) // 2, (shape[1] - width) // 2
    show(axes, measurement.data[top : top + width, left : left + width], lattice.pixel.value, "Å")
    pixels, kinds, _ = lattice.positions(shape)
    inside = ((pixels > [left, top]) & (pixels < [left + width - 1, top + width - 1])).all(axis=1)
    for kind, label in enumerate(lattice.projection.labels):
        chosen = inside & (kinds == kind)
        if lattice.projection.weights[kind] < MARKED or not chosen.any():
            continue
        x, y = (pixels[chosen] - [left, top]).T
        axes.plot(x, y, "o", mfc="none", ms=8, mew=0.8, color=f"C{kind}", label=label)
    axes.legend(fontsize=7, loc="upper right")
    axes.set_title(f"columns of the structure along {lattice.projection.axes['zone']}", fontsize=8)


def draw_disc(measurement: Measurement, disc: Disc, path: str | Path) -> None:
    """Draw a pattern, its direct disc outlined."""
    from matplotlib.patches import Ellipse

    data = np.asarray(measurement.data, dtype=float)
    data = data.mean(axis=(0, 1)) if measurement.kind == "4D" else data
    figure, (axes,) = new_figure()
    show(axes, data, measurement.axes[-1].scale, "mrad")
    ratio = np.sqrt(1 + disc.ellipticity.value)
    row, column = (v.value for v in disc.centre)
    size = 2 * disc.radius.value
    outline = Ellipse(
        (column, row), size * ratio, size / ratio, angle=disc.angle.value, fill=False, edgecolor="tab:orange", lw=1.2
    )
    axes.add_patch(outline)
    axes.plot(column, row, "+", color="tab:orange")
    axes.set_title(f"direct disc: radius {disc.radius} px", fontsize=8)
    figure.suptitle(Path(measurement.source.path).name, fontsize=9)
    figure.savefig(path)
