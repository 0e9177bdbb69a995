"""Molecules in the pores of a crystal at low dose: which pixels show one, where its centre is, and what is expected."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.library.dataset.recipes.base import Arrays, Recipe, table_of
from rhotem.library.dataset.recorded import Picture
from rhotem.library.dataset.scene import Scene

Floats = npt.NDArray[np.float64]
#: Å: around an atom that belongs to a molecule, and standard deviation of the Gaussian that marks a centre.
REACH, WIDTH = 1.0, 1.0


def label(picture: Picture, scene: Scene) -> tuple[Arrays, npt.NDArray[np.float32]]:
    """The picture, what is expected, the molecules, and the table of all columns."""
    shape, step = picture.noisy.shape, picture.frame.step
    away = _nearest(_seen(picture, scene, scene.molecules), shape) * step
    off = _nearest(_centres(picture, scene), shape) * step
    arrays: Arrays = {
        "image": picture.noisy,
        "clean": picture.clean,
        "molecule": np.where(away <= REACH, 255, 0).astype(np.uint8),
        "centre": np.rint(255 * np.exp(-0.5 * (off / WIDTH) ** 2)).astype(np.uint8),
    }
    return arrays, table_of(picture, scene)


def facts(picture: Picture, scene: Scene) -> dict[str, Any]:
    """How many molecules have their centre in the picture, and where, in pixels (x, y)."""
    centres, last = _centres(picture, scene), picture.frame.pixels - 1
    inside = centres[((centres >= 0) & (centres <= last)).all(axis=1)]
    return {"molecules": len(inside), "centres_px": np.round(inside, 2).tolist()}


def _centres(picture: Picture, scene: Scene) -> Floats:
    """Pixels (n, 2) of the means of the atoms of every molecule."""
    return _seen(picture, scene, [places.mean(axis=0, keepdims=True) for places in scene.molecules])


def _seen(picture: Picture, scene: Scene, places: Any) -> Floats:
    """Pixels (n, 2) at which places (each (m, 2) in Å) are seen, also a little beside the picture."""
    if not len(places):
        return np.zeros((0, 2))
    margin = 4.0 * max(REACH, WIDTH) / picture.frame.step
    return picture.frame.pixels_of(np.concatenate(list(places)), scene.cell, margin)[0]


def _nearest(points: Floats, shape: tuple[int, ...]) -> Floats:
    """Distance in pixels of every pixel (rows, columns) from the nearest of points (n, 2)."""
    from scipy.spatial import cKDTree

    if not len(points):
        return np.full(shape, np.inf)
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(cKDTree(points).query(np.stack([x, y], axis=-1))[0])


RECIPE = Recipe(
    "molecules",
    "pictures of molecules in pores as counted and as expected, and where the molecules are",
    {
        "image": "the recorded picture",
        "clean": "the same without counting noise, with the same displacements",
        "molecule": "255 within 1 Å of an atom of a molecule in projection, else 0",
        "centre": "255 · exp(−d²/2σ²) of the nearest centre of a molecule, σ = 1 Å; all are in centres_px",
    },
    label,
    facts=facts,
)
