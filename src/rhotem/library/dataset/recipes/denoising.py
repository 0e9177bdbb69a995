"""Noisy pictures and what is expected at the same probe positions."""

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.recipes.base import Arrays, Recipe, table_of
from rhotem.library.dataset.recorded import Picture
from rhotem.library.dataset.scene import Scene


def label(picture: Picture, scene: Scene) -> tuple[Arrays, npt.NDArray[np.float32]]:
    """The pair, and the table of all columns."""
    return {"image": picture.noisy, "clean": picture.clean}, table_of(picture, scene)


RECIPE = Recipe(
    "denoising",
    "counted pictures and what was expected at the same positions",
    {"image": "the recorded picture", "clean": "the same without counting noise, with the same displacements"},
    label,
)
