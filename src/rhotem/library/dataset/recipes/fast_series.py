"""Fast scans of a specimen that the beam changes: pictures at low dose, and what is true of each."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.films import Film, take_film
from rhotem.library.dataset.maps import label_maps, visible
from rhotem.library.dataset.recipes.base import OTHERS, Arrays, Recipe, table_of
from rhotem.library.dataset.recorded import Picture
from rhotem.library.dataset.scene import Scene

#: Maps of columns that every frame has, and those whose change is told.
SHOWN, CHANGING = ("columns", "species", "vacancy", "antisite"), ("vacancy", "antisite")


def label(film: Film, scenes: Sequence[Scene]) -> tuple[Arrays, npt.NDArray[np.float32]]:
    """Pictures with their maps, frame by frame, and the table of the columns in the last."""
    frames = list(zip(film.pictures, film.states, strict=True))
    maps = [_maps(picture, scenes[state]) for picture, state in frames]
    arrays: Arrays = {
        "images": np.stack([picture.noisy for picture in film.pictures]),
        "clean": np.stack([picture.clean for picture in film.pictures]),
        **{name: np.stack([own[name] for own in maps]) for name in SHOWN},
    }
    # the state before, seen where the scan of this frame is
    before = [_maps(picture, scenes[film.states[max(n - 1, 0)]]) for n, (picture, _) in enumerate(frames)]
    apart = [[np.abs(b[k].astype(int) - a[k]) for k in CHANGING] for a, b in zip(before, maps, strict=True)]
    arrays["changed"] = np.stack([np.max(pair, axis=0) for pair in apart]).astype(np.uint8)
    last, scene = film.pictures[-1], scenes[film.states[-1]]
    return arrays, table_of(last, scene, visible(scene, last.settings["image"]))


def _maps(picture: Picture, scene: Scene) -> Arrays:
    seen, index = picture.frame.pixels_of(scene.places, scene.cell)
    shown = visible(scene, picture.settings["image"])[index]
    return label_maps(scene, seen[shown], index[shown], picture.noisy.shape, picture.frame.step)


RECIPE = Recipe(
    "fast-series",
    "series of fast scans between which atoms change",
    {
        "images": "(frames, rows, columns), as counted; the state of every frame stands in the settings (states)",
        "clean": "the same without counting noise",
        "columns": "255 · exp(−d²/2σ²) of the nearest column, σ = 0.3 Å",
        "species": "class within 0.5 Å of a column, as in the recipe columns",
        "vacancy": "255 · share of the column's sites that is empty in this frame",
        "antisite": "255 · share that holds another element than its crystal's site",
        "changed": "255 · how much more or less of either than in the frame before; the first has none",
    },
    label,
    take=take_film,
    needs=("along", "frames"),
    without=tuple(name for name in OTHERS if name not in ("along", "frames")),
    states=True,
)
