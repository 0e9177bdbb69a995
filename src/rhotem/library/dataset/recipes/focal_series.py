"""Focal series of a parallel beam and the exit wave that they come from."""

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.pictures import OF_EDGES, Pictures
from rhotem.library.dataset.recipes.base import OTHERS, Arrays, Recipe, table_of
from rhotem.library.dataset.scene import Scene
from rhotem.library.dataset.series import OF_SCANS, Series, held_waves, parallel, take_series


def label(picture: Series, scene: Scene) -> tuple[Arrays, npt.NDArray[np.float32]]:
    """Series and wave, and the table of all columns."""
    return {"images": picture.noisy, "wave": picture.wave}, table_of(picture, scene)


RECIPE = Recipe(
    "focal-series",
    "focal series of HRTEM as counted, and the exit wave",
    {
        "images": "(foci, rows, columns), over the incident intensity; foci stand in the settings",
        "wave": "real and imaginary part of the exit wave within the objective aperture; incident 1, its mean real",
    },
    label,
    held_waves,
    take_series,
    simulated=False,
    suits=parallel,
    without=tuple(
        name for name in (*OF_SCANS, *OF_EDGES, *OTHERS) if name in Pictures.model_fields and name != "foci_nm"
    ),
)
