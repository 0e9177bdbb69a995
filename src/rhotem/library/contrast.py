"""Contrast of the columns of an entry, tabulated over its thicknesses and some foci when it is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rhotem.analysis.columns import Column, column_intensity
from rhotem.library.tabulated import Tabulated
from rhotem.microscope.detectors import Annular

#: Radius in Å of the disk around a column over which a contrast is the mean.
RADIUS = 0.3
#: Images without a zero that means anything: their contrast is the excess over the mean in their own unit.
ABSOLUTE = ("iDPC", "dDPC", "iCoM", "dCoM")


@dataclass(frozen=True)
class Contrast:
    """Contrast of one kind of column at one thickness, at the tabulated focus where it is largest.

    ``contrast`` is (I_column − I_mean)/I_mean of the mean over a disk of 0.3 Å, of iDPC and the like the excess in
    their unit; the mean over the columns of that label. ``noise`` is its standard deviation by counting for one column
    at a dose of 1 e/Å², and goes with one over the root of the dose: sqrt(I_column / πr²)/I_mean, as electrons that
    reach a detector are Poisson distributed. None: not known (differences and sums of segments).

    Parameters
    ----------
    image, label : str
    thickness, defocus : float
        nm.
    contrast : float
    noise : float or None
        Times the root of e/Å².
    """

    image: str
    label: str
    thickness: float
    defocus: float
    contrast: float
    noise: float | None


def contrasts(seen: Tabulated, columns: Sequence[Column]) -> list[Contrast]:
    """Contrasts of every image and kind of column at every thickness."""
    held, grid = seen.held, seen.settings
    deep = list(dict.fromkeys(t for t, _ in grid))
    plain = {name for d in held.detectors if isinstance(d, Annular) for name in d.image_names()}
    rows = []
    for name, images in seen.images.items():
        counted = name in plain
        found = [
            (t, f, label, *_of(image, held.extent, members, name.endswith(ABSOLUTE), counted))
            for (t, f), image in zip(grid, images, strict=True)
            for label, members in _by_label(columns).items()
        ]
        for t in deep:
            for label in _by_label(columns):
                best = max((row for row in found if row[0] == t and row[2] == label), key=lambda row: abs(row[3]))
                rows.append(Contrast(name, label, t, best[1], best[3], best[4]))
    return rows


def _by_label(columns: Sequence[Column]) -> dict[str, list[Column]]:
    return {label: [c for c in columns if c.label == label] for label in sorted({c.label for c in columns})}


def _of(
    image: Any, extent: tuple[float, float], members: Sequence[Column], absolute: bool, counted: bool
) -> tuple[float, float | None]:
    """Mean contrast of some columns, and its noise at 1 e/Å²."""
    mean = float(image.mean())
    value = float(np.mean([column_intensity(image, extent, column, RADIUS) for column in members]))
    if absolute or mean == 0:
        return value - mean, None
    noise = float(np.sqrt(max(value, 0.0) / (np.pi * RADIUS**2)) / abs(mean)) if counted else None
    return (value - mean) / mean, noise
