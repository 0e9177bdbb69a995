"""Further planes of labels for pictures of columns: thickness, phase, and how far the potential may be wrong."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.library.campaign.task import Task
from rhotem.library.dataset.maps import nearest_column
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.recorded import Picture, held_response, take
from rhotem.library.dataset.scene import Scene
from rhotem.library.density.summary import open_summary
from rhotem.library.layout import DENSITY, entry_folder
from rhotem.microscope.acquisition.positions import at_positions
from rhotem.scattering.response import Response

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Opened:
    """The response of a specimen, and how far its density may be wrong.

    Parameters
    ----------
    response : Response
    error : (nx, ny) array or None
        Half-width in V of the 90 % interval of the projected potential, its mean along the beam, over ``extent``;
        None: its source does not know.
    extent : (float, float)
        Å.
    """

    response: Response
    error: Floats | None = None
    extent: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True, eq=False)
class PictureWithPlanes(Picture):
    """A recording, and what further planes of it are made of.

    Parameters
    ----------
    asked : tuple of str
        Names in `PLANES`.
    error : (rows, columns) array or None
        V.
    """

    asked: tuple[str, ...] = ()
    error: Floats | None = None


def opened(task: Task, library: Path, said: Pictures) -> Opened:
    """The response of a task in a library, with the error bars of its density if they are asked for and known."""
    held, folder = held_response(task, library, said), library / entry_folder(task.id) / DENSITY
    if "sigma" not in (said.planes or ()) or not folder.exists():
        return Opened(held)
    summary = open_summary(folder)
    return Opened(held, summary.potential_error, summary.extent)


def take_with_planes(held: Opened, said: Pictures, image: str, rng: np.random.Generator) -> PictureWithPlanes:
    """Record a picture as `rhotem.library.dataset.recorded.take`; the same electrons, whatever planes are asked for."""
    picture, error = take(held.response, said, image, rng), None
    if held.error is not None:
        steady = replace(picture.frame, moved=picture.frame.steady)  # labels follow drift and skew, not jitter
        error = np.clip(at_positions(held.error[None], held.extent, steady.positions)[0], 0.0, None).T
    return PictureWithPlanes(
        picture.noisy, picture.clean, picture.frame, picture.settings, tuple(said.planes or ()), error
    )


def planes_of(picture: PictureWithPlanes, scene: Scene) -> dict[str, npt.NDArray[Any]]:
    """The planes (rows, columns) that were asked for; those that nothing is known of are left out."""
    made = {name: PLANES[name](picture, scene) for name in picture.asked}
    return {name: values for name, values in made.items() if values is not None}


def _thickness(picture: PictureWithPlanes, scene: Scene) -> npt.NDArray[Any] | None:
    """nm; None where some of the area holds no atoms, or nobody knows."""
    if scene.vacuum is None:
        return None
    thick = picture.settings["thickness_nm"] - 0.1 * scene.vacuum
    whole = np.full(picture.noisy.shape, thick, dtype=np.float32)
    return whole if picture.frame.there is None else (whole * picture.frame.there.T).astype(np.float32)


def _phase(picture: PictureWithPlanes, scene: Scene) -> npt.NDArray[Any]:
    """Of the nearest column: the first region with the same formula."""
    first = np.array([scene.phases.index(formula) for formula in scene.phases])
    seen, index = picture.frame.pixels_of(scene.places, scene.cell)
    if not len(seen):
        return np.zeros(picture.noisy.shape, dtype=np.uint8)
    return first[scene.region[index[nearest_column(seen, picture.noisy.shape)]]].astype(np.uint8)


def _sigma(picture: PictureWithPlanes, scene: Scene) -> npt.NDArray[Any] | None:
    return picture.error


#: Planes by name: what makes them.
PLANES: dict[str, Callable[[PictureWithPlanes, Scene], npt.NDArray[Any] | None]] = {
    "thickness": _thickness,
    "phase": _phase,
    "sigma": _sigma,
}
