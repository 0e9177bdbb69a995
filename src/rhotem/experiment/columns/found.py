"""Columns that a network found in an image, as a table and over the image."""

import csv
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rhotem.experiment.measurement import Measurement
from rhotem.experiment.picture import new_figure, show

#: Header of the table.
NAMES = (
    *("x_px", "x_px_error", "y_px", "y_px_error", "probability", "species", "species_probability"),
    *("vacancy", "vacancy_error", "antisite", "antisite_error"),
)
#: Colours of the classes.
COLOURS = {"light": "tab:green", "anion": "tab:red", "transition metal": "tab:blue", "other": "tab:orange"}


class Found(Protocol):
    """Columns of a picture (`rhotem.learned.pictures.Segmentation`)."""

    @property
    def places(self) -> npt.NDArray[Any]:
        """Pixels (x, y), (n, 2)."""

    @property
    def errors(self) -> npt.NDArray[Any]:
        """Their standard deviations (n, 2)."""

    @property
    def probability(self) -> npt.NDArray[Any]:
        """That there is a column (n,)."""

    @property
    def classes(self) -> npt.NDArray[Any]:
        """Probabilities of the classes (n, 4)."""

    @property
    def vacancy(self) -> npt.NDArray[Any]:
        """Share of empty sites (n,)."""

    @property
    def antisite(self) -> npt.NDArray[Any]:
        """Share of exchanged sites (n,)."""

    @property
    def spread(self) -> npt.NDArray[Any]:
        """Standard deviations of probability, vacancy and antisite (n, 3)."""

    @property
    def species(self) -> list[str]:
        """Most probable class of every column."""


def write_found(found: Found, path: str | Path) -> None:
    """One row for every column, from the top down."""
    order = np.lexsort((found.places[:, 0], np.round(found.places[:, 1])))
    species = found.species
    with open(path, "w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(NAMES)
        for i in order:
            places = [v for pair in zip(found.places[i], found.errors[i], strict=True) for v in pair]
            shares = [found.vacancy[i], found.spread[i, 1], found.antisite[i], found.spread[i, 2]]
            said = [*(f"{v:.6g}" for v in (*places, found.probability[i])), species[i], f"{found.classes[i].max():.4g}"]
            table.writerow([*said, *(f"{v:.4g}" for v in shares)])


def draw_found(measurement: Measurement, found: Found, path: str | Path) -> None:
    """The image, and the columns over it, coloured by species; rings where sites are empty or exchanged."""
    figure, places = new_figure(2)
    for axes in places:
        show(axes, measurement.data, measurement.axes[-1].scale, measurement.axes[-1].unit)
    axes, species = places[1], np.array(found.species)
    size = float(np.clip(16000 / max(len(species), 1), 2, 30))
    for name, colour in COLOURS.items():
        x, y = found.places[species == name].T if len(species) else np.zeros((2, 0))
        if len(x):
            axes.scatter(x, y, s=size, color=colour, lw=0, label=f"{name} ({len(x)})")
    for values, colour, what in ((found.vacancy, "yellow", "vacancy"), (found.antisite, "magenta", "antisite")):
        marked = values > 0.5
        if marked.any():
            axes.scatter(*found.places[marked].T, s=4 * size, facecolor="none", edgecolor=colour, lw=0.8, label=what)
    if len(species):
        axes.legend(fontsize=6, loc="lower right", framealpha=0.7)
    axes.set_title(f"{len(species)} columns", fontsize=8)
    axes.set(xlim=(-0.5, measurement.data.shape[1] - 0.5), ylim=(measurement.data.shape[0] - 0.5, -0.5))
    figure.savefig(path)
