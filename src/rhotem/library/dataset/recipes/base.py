"""What a recipe is: arrays of one picture, and what the card says of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from rhotem.library.dataset.recorded import Picture
from rhotem.library.dataset.scene import Scene

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Recipe:
    """What pictures are labelled with.

    Parameters
    ----------
    name : str
    about : str
        One line.
    arrays : mapping
        What every array of a picture is, in words.
    label : callable
        ``label(picture, scene)`` -> arrays (rows, columns) by name, and a table (n, 7) of the columns in the picture:
        x, y (pixels), species, sites, vacant, exchanged, index in the scene.
    """

    name: str
    about: str
    arrays: Mapping[str, str]
    label: Callable[[Picture, Scene], tuple[Arrays, npt.NDArray[Any]]]
