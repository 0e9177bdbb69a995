"""Diffraction patterns, and the projected potential that they come from: the inverse problem of crystallography."""

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.pairs import OF_SCANS, Pair, held_pairs, recording, take_pair
from rhotem.library.dataset.pictures import OF_EDGES
from rhotem.library.dataset.recipes.base import Arrays, Recipe, table_of
from rhotem.library.dataset.scene import Scene


def label(picture: Pair, scene: Scene) -> tuple[Arrays, npt.NDArray[np.float32]]:
    """The pair, and the table of all columns of the potential."""
    arrays = {"counts": picture.counts, "clean": picture.clean, "potential": picture.potential}
    return arrays, table_of(picture, scene)


RECIPE = Recipe(
    "pattern-potential",
    "convergent-beam patterns and the projected potential around what was probed",
    {
        "counts": "(ky, kx), electrons in every pixel of the camera, those of the beam in its middle",
        "clean": "their expected number",
        "potential": "(rows, columns), V·Å through the whole thickness, atoms at rest, waves to half a period a pixel",
    },
    label,
    held_pairs,
    take_pair,
    simulated=False,
    suits=recording,
    needs=("camera_mrad",),
    without=("foci_nm", "planes", "along", "frames", "images", *OF_SCANS, *OF_EDGES),
    single=("clean", "potential"),
)
