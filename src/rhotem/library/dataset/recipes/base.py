"""What a recipe is: arrays of one picture, and what the card says of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis.plan.problems import At
from rhotem.library.campaign.task import Task
from rhotem.library.dataset.maps import above_noise
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.recorded import Picture, detected, held_response, take
from rhotem.library.dataset.scene import Scene
from rhotem.microscope.presets import Preset

Arrays = dict[str, npt.NDArray[Any]]

#: Keys of ``pictures`` that belong to one recipe each.
OTHERS = ("foci_nm", "camera_mrad", "tilt_mrad", "planes", "along", "frames")


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
        ``label(picture, scene)`` -> arrays (rows, columns) by name, and a table (n, 8) of the columns in the picture:
        `rhotem.library.dataset.store.TABLE`.
    opens : callable
        ``opens(task, library, pictures)`` -> what pictures of a task are drawn from; the response if left out.
    take : callable
        ``take(opened, pictures, image, rng)`` -> one picture, with ``settings``.
    simulated : bool
        Whether it needs the responses of the library.
    suits : callable
        ``suits(preset, pictures)`` refuses a microscope that cannot record such pictures, before anything is computed.
    least : int
        Fewest pixels of a side.
    needs, without : tuple of str
        Keys of ``pictures`` that must be given, and that mean nothing.
    single : tuple of str
        Arrays that are kept in single precision, not in half.
    states : bool
        Whether a shard has several tasks, states of one specimen: then ``opens`` is asked for each, and ``take`` and
        ``label`` get what it gives, and scenes, in a list.
    facts : callable
        ``facts(picture, scene)`` -> what the settings of a picture, and the manifest, say besides.
    """

    name: str
    about: str
    arrays: Mapping[str, str]
    label: Callable[[Any, Any], tuple[Arrays, npt.NDArray[Any]]]
    opens: Callable[[Task, Path, Pictures], Any] = held_response
    take: Callable[[Any, Pictures, str, np.random.Generator], Any] = take
    simulated: bool = True
    suits: Callable[[Preset, Pictures], None] = detected
    least: int = 16
    needs: tuple[str, ...] = ()
    without: tuple[str, ...] = OTHERS
    single: tuple[str, ...] = ()
    states: bool = False
    facts: Callable[[Any, Any], dict[str, Any]] = lambda picture, scene: {}

    def check(self, said: Pictures) -> None:
        """Refuse keys that mean nothing here, and miss those that are needed.

        Raises
        ------
        At
        """
        if said.pixels < self.least:
            raise At(("pictures", "pixels"), f"{said.pixels}: the recipe {self.name} takes at least {self.least}")
        for name in self.without:
            if name in said.model_fields_set:
                raise At(("pictures", name), f"means nothing with the recipe {self.name}; leave it out")
        for name in self.needs:
            if getattr(said, name) is None:
                raise At(("pictures",), f"{name} is missing, the recipe {self.name} needs it")


def table_of(picture: Any, scene: Scene, shown: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.float32]:
    """The table of the columns of a scene that lie in the frame of a picture; ``shown``: of which (all if left out).

    A picture that is no `Picture` has no number for how far columns stand above its noise: it is not known (NaN).
    """
    seen, index = picture.frame.pixels_of(scene.places, scene.cell)
    if shown is not None:
        seen, index = seen[shown[index]], index[shown[index]]
    if isinstance(picture, Picture):
        above = above_noise(picture.clean, picture.noisy, seen, picture.frame.step)
    else:
        above = np.full(len(seen), np.nan)
    facts = [scene.species, scene.sites, scene.vacant, scene.exchanged]
    return np.column_stack([seen, *(fact[index] for fact in facts), index, above]).astype(np.float32)
