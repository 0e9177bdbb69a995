"""Images of an entry over its thicknesses and some foci, for formats that hold pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.library.campaign.task import Task
from rhotem.library.entry import Entry
from rhotem.library.store import Library


@dataclass(frozen=True, eq=False)
class Stack:
    """Noise-free images of one detector, seen from the source.

    Parameters
    ----------
    name, unit : str
        Of the image; fractions of the beam have the unit "".
    values : (thicknesses, foci, ny, nx) float32 array
        Rows go down, along y.
    thicknesses, foci : list of float
        nm.
    step : (float, float)
        Å along x and y.
    """

    name: str
    unit: str
    values: npt.NDArray[np.float32]
    thicknesses: list[float]
    foci: list[float]
    step: tuple[float, float]


def stacks(library: Library, entry: Entry) -> tuple[list[Stack], dict[str, Any]]:
    """Images of an entry at its thicknesses and the foci of its campaign; and settings as metadata."""
    from rhotem.microscope.detectors import unit
    from rhotem.microscope.scan import Scan

    held = library.response(entry.id)
    foci = list(Task.from_json(library.described(entry.id)["task"]).asked.foci)
    deep = list(held.thicknesses)
    scan = Scan.cell(held.extent, held.microscope)
    grid = [(t, f) for t in deep for f in foci]
    made = held.series(thickness=[t for t, _ in grid], defocus=[10.0 * f for _, f in grid], scan=scan)
    result = [
        Stack(
            name,
            unit(name),
            np.ascontiguousarray(images.reshape(len(deep), len(foci), *images.shape[1:]).swapaxes(2, 3)),
            [0.1 * t for t in deep],
            foci,
            scan.step,
        )
        for name, images in made.items()
    ]
    settings = {
        "energy_keV": entry.energy,
        "convergence_mrad": entry.convergence,
        "formula": entry.formula,
        "zone": entry.zone,
        "density": entry.source,
        "title": entry.title,
        "identifier": entry.id,
        "detectors": [detector.model_dump(mode="json") for detector in held.detectors],
    }
    return result, settings


def file_name(entry: Entry, ending: str) -> str:
    """A name for a file of an entry."""
    plain = "".join(c if c.isalnum() or c in "._-+" else "_" for c in entry.title)[:80]
    return f"{plain}-{entry.id[:8]}{ending}"
