"""Columns and their defects: where columns are, of what class, which sites are empty or exchanged."""

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.maps import label_maps, visible
from rhotem.library.dataset.planes import PictureWithPlanes, opened, planes_of, take_with_planes
from rhotem.library.dataset.recipes.base import OTHERS, Arrays, Recipe, table_of
from rhotem.library.dataset.scene import SPECIES, Scene


def label(picture: PictureWithPlanes, scene: Scene) -> tuple[Arrays, npt.NDArray[np.float32]]:
    """The picture, its label maps, and the table of the columns that it can show."""
    shown = visible(scene, picture.settings["image"])
    table = table_of(picture, scene, shown)
    seen, index = picture.frame.pixels_of(scene.places, scene.cell)
    seen, index = seen[shown[index]], index[shown[index]]
    maps = label_maps(scene, seen, index, picture.noisy.shape, picture.frame.step)
    return {"image": picture.noisy, **maps, **planes_of(picture, scene)}, table


RECIPE = Recipe(
    "columns",
    "columns, their species, vacancies and antisites",
    {
        "image": "the recorded picture, in the unit of its kind (fractions of the beam, rad)",
        "columns": "255 · exp(−d²/2σ²) of the nearest column, σ = 0.3 Å",
        "species": f"class within 0.5 Å of a column: {', '.join(f'{i} {name}' for i, name in enumerate(SPECIES))}",
        "occupancy": "255 · share of the column's sites that are filled, within 0.5 Å",
        "vacancy": "255 · share that is empty",
        "antisite": "255 · share that holds another element than its crystal's site",
        "region": "crystal or layer of the nearest column; its formula stands in the attributes (phases)",
        "thickness": "nm, where it is the same everywhere",
        "phase": "the first region with the same formula as that of the nearest column",
        "sigma": "V, where it is known: half-width of the 90 % interval of the projected potential over thickness",
    },
    label,
    opened,
    take_with_planes,
    without=tuple(name for name in OTHERS if name != "planes"),
)
