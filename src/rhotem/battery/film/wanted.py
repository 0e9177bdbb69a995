"""What is asked of a film, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rhotem.structure.model import Structure


@dataclass(frozen=True)
class Wanted:
    """Which frames, and how they are shown.

    Parameters
    ----------
    every, start, stop : int
        Every so many frames of the trajectory, from one to another, counted from 1; ``stop`` None: to the end.
    fps : float
        Pictures in a second.
    form : "mp4", "gif" or ""
        "": MP4 where ffmpeg is installed.
    overlay : "ion", "all" or "none"
        What is marked in the images: the ion that moves, all atoms, nothing.
    element : str
        That ion; "": the first of Li, Na, K, ... that is there.
    difference : bool
        A panel of the deformation density, projected, minus that of the first frame.
    average : bool
        The mean of all frames as images: thermal motion as it is.
    scales : mapping
        Least and largest value of the grey scale by image; others from the film.
    reference : Structure or None
        Crystal whose directions are named.
    """

    every: int = 1
    start: int = 1
    stop: int | None = None
    fps: float = 8.0
    form: Literal["mp4", "gif", ""] = ""
    overlay: Literal["ion", "all", "none"] = "ion"
    element: str = ""
    difference: bool = False
    average: bool = False
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reference: Structure | None = None


@dataclass(frozen=True, eq=False)
class Film:
    """A film that was made.

    Parameters
    ----------
    path : Path
        MP4 or GIF.
    frames : Path
        Zarr group of all frames.
    number : int
        Of frames.
    average : Path or None
        Folder of the mean of all frames.
    record : dict
        All that ``record.json`` says.
    """

    path: Path
    frames: Path
    number: int
    average: Path | None = None
    record: dict[str, Any] = field(default_factory=dict)
