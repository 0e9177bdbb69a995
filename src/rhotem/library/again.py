"""Entries made once more, and compared: whether a library still says what this RhoTEM says."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rhotem.core import Progress, silent
from rhotem.library.campaign.compute import compute
from rhotem.library.campaign.task import Task
from rhotem.library.layout import RESPONSE
from rhotem.library.store import Library
from rhotem.scattering.response import Response, open_response

#: Largest difference of a pixel as a part of its image's range up to which two results are equal: another order of
#: sums in single precision.
EQUAL = 1e-5


@dataclass(frozen=True)
class Difference:
    """An entry and its repetition: largest difference of a pixel as a part of its image's range, and of which image."""

    id: str
    title: str
    image: str
    of_range: float

    @property
    def equal(self) -> bool:
        """Within rounding."""
        return self.of_range <= EQUAL

    def __str__(self) -> str:
        word = "equal" if self.equal else "differs"
        return f"{self.id[:8]} {self.title}: {word}, {self.image} by {self.of_range:.1e} of its range at most"


def again(library: Library, part: float, seed: int = 0, progress: Progress = silent) -> list[Difference]:
    """Make a part of the entries (0 to 1, at least one) once more, drawn at random, and compare all of their images.

    Those in half precision differ by its rounding, which is allowed on top.

    Raises
    ------
    RhoTEMError
        If an entry cannot be made: its structure file has gone.
    """
    entries = library.entries()
    number = min(len(entries), max(1, round(part * len(entries))))
    chosen = np.random.default_rng(seed).permutation(len(entries))[:number]
    found = []
    for done, place in enumerate(chosen.tolist()):
        entry = entries[place]
        task = Task.from_json(library.described(entry.id)["task"])
        with tempfile.TemporaryDirectory(prefix="rhotem-") as name:
            compute(task, Path(name))
            image, most = _difference(library.response(entry.id), open_response(Path(name) / RESPONSE))
        found.append(Difference(entry.id, entry.title, image, most))
        progress("made again", done + 1, number)
    return found


def _difference(one: Response, other: Response) -> tuple[str, float]:
    """Name of the image that differs most, and by how much."""
    deep = list(one.thicknesses)
    first, second = one.series(thickness=deep, threads=1), other.series(thickness=deep, threads=1)
    sizes = {}
    for name, images in first.items():
        extent = np.ptp(images, axis=(1, 2))
        change = np.abs(second[name] - images).max(axis=(1, 2))
        sizes[name] = float((change / np.where(extent > 0, extent, 1.0)).max()) - one.rounding
    most = max(sizes, key=lambda name: sizes[name])
    return most, max(0.0, sizes[most])
