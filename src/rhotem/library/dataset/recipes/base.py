"""What a recipe is: arrays of one picture, and what the card says of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.library.campaign.task import Task
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.recorded import Frame, held_response, take
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
    opens : callable
        ``opens(task, library)`` -> what pictures of a task are drawn from; the response if left out.
    take : callable
        ``take(opened, pictures, image, rng)`` -> one picture, with ``settings``.
    simulated : bool
        Whether it needs the responses of the library.
    """

    name: str
    about: str
    arrays: Mapping[str, str]
    label: Callable[[Any, Scene], tuple[Arrays, npt.NDArray[Any]]]
    opens: Callable[[Task, Path], Any] = held_response
    take: Callable[[Any, Pictures, str, np.random.Generator], Any] = take
    simulated: bool = True


def table_of(frame: Frame, scene: Scene) -> npt.NDArray[np.float32]:
    """The table of all columns of a scene that lie in a frame."""
    seen, index = frame.pixels_of(scene.places, scene.cell)
    facts = [scene.species, scene.sites, scene.vacant, scene.exchanged]
    return np.column_stack([seen, *(fact[index] for fact in facts), index]).astype(np.float32)
