"""Frames of one area between which atoms change: fast scans, each at low dose, while the specimen drifts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rhotem.core import InputError
from rhotem.library.dataset.pictures import Pictures
from rhotem.library.dataset.recorded import Frame, Picture, drawn, framed, record
from rhotem.microscope.acquisition.positions import PM, US
from rhotem.scattering.response import Response


@dataclass(frozen=True, eq=False)
class Film:
    """A series of pictures.

    Parameters
    ----------
    pictures : tuple of Picture
    states : tuple of int
        State of the specimen in each; it never goes back.
    settings : dict
        What was drawn, JSON-ready.
    """

    pictures: tuple[Picture, ...]
    states: tuple[int, ...]
    settings: dict[str, Any]

    @property
    def frame(self) -> Frame:
        """Where the pixels of the last picture lie."""
        return self.pictures[-1].frame


def take_film(held: Sequence[Response], said: Pictures, image: str, rng: np.random.Generator) -> Film:
    """Record a series of pictures ``image`` of a specimen in several states, with settings drawn from ``said``.

    Lens, dose and scan are those of the first picture throughout; jitter and electrons are drawn for each, the drift
    goes on from one to the next.

    Raises
    ------
    InputError
        If the states have other cells or exits, or a response does not hold a setting.
    """
    first = held[0]
    for other in held[1:]:
        if not (np.allclose(first.extent, other.extent) and np.allclose(first.thicknesses, other.thicknesses)):
            raise InputError("states of one series have other cells; choose an option that keeps the cell")
    settings = drawn(first, said, rng)
    number = said.frames or 2
    states = np.sort(rng.integers(len(held), size=number))
    begun = framed(said.pixels, settings, first.extent, rng)
    way, step = settings["drift_direction_rad"], settings["dwell_us"] * said.pixels**2
    drift = PM * US * settings["drift_pm_per_s"] * step * np.array([np.cos(way), np.sin(way)])
    pictures = []
    for place, state in enumerate(states):
        frame = framed(said.pixels, settings, first.extent, rng) if place else begun
        frame = replace(frame, origin=begun.origin - place * (begun.turn @ drift))
        pictures.append(record(held[state], image, settings, frame, rng))
    told = {"frame_ms": float(f"{1e-3 * step:.6g}"), "states": states.tolist()}
    return Film(tuple(pictures), tuple(states.tolist()), pictures[0].settings | told)
