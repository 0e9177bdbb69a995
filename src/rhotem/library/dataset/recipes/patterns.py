"""Small scans of diffraction patterns, counted and expected: for networks that take the noise out of 4D data."""

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.pictures import OF_EDGES
from rhotem.library.dataset.probes import PatternScan, held_probe, recording, take_patterns
from rhotem.library.dataset.recipes.base import OTHERS, Arrays, Recipe, table_of
from rhotem.library.dataset.scene import Scene


def label(picture: PatternScan, scene: Scene) -> tuple[Arrays, npt.NDArray[np.float32]]:
    """The pair, and the table of all columns."""
    return {"counts": picture.counts, "clean": picture.clean}, table_of(picture, scene)


RECIPE = Recipe(
    "patterns",
    "scans of diffraction patterns as counted, and what was expected",
    {
        "counts": "(rows, columns, ky, kx), electrons in every pixel of the camera, those of the beam in its middle",
        "clean": "their expected number; over `electrons` in the settings it is the fraction of the beam",
    },
    label,
    held_probe,
    take_patterns,
    simulated=False,
    suits=recording,
    least=4,
    needs=("camera_mrad",),
    without=(*(name for name in OTHERS if name != "camera_mrad"), "images", "source_size_A", *OF_EDGES),
    single=("clean",),
)
