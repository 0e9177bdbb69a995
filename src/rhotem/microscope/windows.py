"""Large cells in windows: a probe sees its surroundings, cut out of the potential, and not the whole cell."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rhotem.microscope.record import Recorder
from rhotem.microscope.transforms import fast_length

if TYPE_CHECKING:
    from rhotem.potential.slices import PotentialSlices

#: Sides in Å of the part of the scan that a window serves; the cheapest is chosen.
SERVED = (2.5, 3.5, 5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0)

#: Sends probes through a potential in memory: (slices, positions in it, recorders, told how many waves are done).
Send = Callable[["PotentialSlices", npt.NDArray[np.float64], dict[int, Recorder], Callable[[int], None]], None]


@dataclass(frozen=True)
class Windows:
    """Windows of one size that serve all probes of a cell.

    Parameters
    ----------
    counts : (int, int)
        Windows along x and y; 1: the whole side, which stays periodic.
    points : (int, int)
        Points of a window on the grid of the waves.
    shape, extent : pairs
        Grid of the waves on the cell, and the cell's sides in Å.
    """

    counts: tuple[int, int]
    points: tuple[int, int]
    shape: tuple[int, int]
    extent: tuple[float, float]

    @property
    def number(self) -> int:
        """All windows."""
        return self.counts[0] * self.counts[1]

    @property
    def size(self) -> tuple[float, float]:
        """Sides of a window in Å."""
        (n, m), (p, q), (a, b) = self.shape, self.points, self.extent
        return p * a / n, q * b / m

    def serve(self, positions: npt.NDArray[np.float64]) -> Iterator[tuple[npt.NDArray[np.int64], tuple[float, float]]]:
        """Probes of every window that has some, as rows of ``positions`` (n, 2), and the window's corner in Å."""
        own = np.zeros((len(positions), 2), dtype=np.int64)
        for axis, (count, length) in enumerate(zip(self.counts, self.extent, strict=True)):
            own[:, axis] = np.floor(positions[:, axis] / length % 1.0 * count).astype(np.int64) % count
        for place in np.unique(own, axis=0):
            middle = (place + 0.5) * self.extent / np.array(self.counts)
            corner = np.where(np.array(self.counts) == 1, 0.0, middle - 0.5 * np.array(self.size))
            yield np.flatnonzero((own == place).all(axis=1)), (float(corner[0]), float(corner[1]))


def choices(extent: tuple[float, float], shape: tuple[int, int], margin: float) -> list[Windows]:
    """Ways to cover a cell by windows that leave a probe ``margin`` Å in all across: the whole cell first."""
    found = [Windows((1, 1), shape, shape, extent)]
    for served in SERVED:
        counts, points = [], []
        for length, n in zip(extent, shape, strict=True):
            count = int(np.ceil(length / served - 1e-9))
            size = fast_length(int(np.ceil((length / count + margin) * n / length - 1e-9)))
            # a window that is no smaller than the cell has nothing to leave out
            counts.append(count if size < n else 1)
            points.append(min(size, n))
        made = Windows((counts[0], counts[1]), (points[0], points[1]), shape, extent)
        if made not in found:
            found.append(made)
    return found


class WindowEngine:
    """Sends every probe through its window; slices that lie on disk are read window by window.

    Parameters
    ----------
    windows : Windows
    send : callable
        Sends probes through one window.
    supercell : (float, float)
        Extent in Å of the cell that a probe lives on.
    """

    def __init__(self, windows: Windows, send: Send, supercell: tuple[float, float]) -> None:
        self.windows, self.send, self.supercell = windows, send, supercell

    def run(
        self,
        slices: "PotentialSlices",
        positions: npt.NDArray[np.float64],
        recorders: dict[int, Recorder],
        advance: Callable[[int], None] = lambda waves: None,
    ) -> None:
        """Propagate one configuration and add its intensities to the recorders (exit slice -> recorder)."""
        from rhotem.potential.stream_read import window

        for rows, corner in self.windows.serve(positions):
            part, corner = window(slices, corner, self.windows.size)
            own = {n: recorder.part(len(rows)) for n, recorder in recorders.items()}
            self.send(part, positions[rows] - corner, own, advance)
            for n, recorder in recorders.items():
                recorder.put(rows, own[n])
