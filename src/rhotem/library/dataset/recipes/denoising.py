"""Noisy pictures and what is expected at the same probe positions."""

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.recipes.base import Arrays, Recipe
from rhotem.library.dataset.recorded import Picture
from rhotem.library.dataset.scene import Scene


def label(picture: Picture, scene: Scene) -> tuple[Arrays, npt.NDArray[np.float32]]:
    """The pair, and the table of all columns."""
    seen, index = picture.frame.pixels_of(scene.places, scene.cell)
    facts = [scene.species, scene.sites, scene.vacant, scene.exchanged]
    table = np.column_stack([seen, *(fact[index] for fact in facts), index]).astype(np.float32)
    return {"image": picture.noisy, "clean": picture.clean}, table


RECIPE = Recipe(
    "denoising",
    "counted pictures and what was expected at the same positions",
    {"image": "the recorded picture", "clean": "the same without counting noise, with the same displacements"},
    label,
)
