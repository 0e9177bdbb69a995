"""Disjoint parts of the diffraction plane: every electron falls into one, every detector is a sum of them.

A part is bounded by edges of detectors: rings times quadrants. It belongs wholly to a detector or not at all, so what
is known of the parts is known of all detectors together, however these overlap.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.detectors import Detector, Region, channels, quadrant, rings_of
from rhotem.microscope.detectors.sensitivity import Sensitivity
from rhotem.microscope.optics import around, corrected

Array = npt.NDArray[Any]

#: Weights that every recording has a place for: angles in mrad.
ANGLES = ("x", "y")


@dataclass(frozen=True)
class Cell:
    """One disjoint part.

    Parameters
    ----------
    members : frozenset of str
        Names of the channels that hold it (`rhotem.microscope.detectors.channels`).
    pieces : tuple of (int, int, tuple of int)
        Soft-edged ring, hard-edged ring and quadrant of every way of quartering, whose union it is.
    functions : tuple of str
        Weights (`rhotem.microscope.detectors.Channel.function`) whose sums over its electrons count: angles where a
        centre of mass holds it, the sensitivity of a detector with a map.
    """

    members: frozenset[str]
    pieces: tuple[tuple[int, int, tuple[int, ...]], ...]
    functions: tuple[str, ...]

    @property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """Moments that are recorded, of order 0, 1 and 2, and the weights that each is the product of."""
        one, squares = {f: (f,) for f in self.functions}, {f + f: (f, f) for f in self.functions}
        mixed = {a + b: (a, b) for a, b in combinations(self.functions, 2)}
        return {"": (), **one, **squares, **mixed}

    @property
    def moments(self) -> tuple[str, ...]:
        """Names of these moments."""
        return tuple(self.factors)


@dataclass(frozen=True)
class _Pieces:
    """Parts of pixels in soft rings (s, n), hard rings (n), and the quarters of every cut, (s, n) or (n)."""

    soft: list[Array]
    hard: list[Array]
    quarters: list[list[Array]]

    def soft_part(self, key: tuple[int, ...]) -> Array:
        """Of a ring and its soft quarters; -1 stands for those of a hard cut."""
        part = self.soft[key[0]]
        for quarters, quarter in zip(self.quarters, key[1:], strict=True):
            part = part * quarters[quarter] if quarter >= 0 else part
        return part


class Cells:
    """The parts that the edges of some detectors divide the diffraction plane into; outside all of them is none.

    Parameters
    ----------
    detectors : sequence of detectors
        Pixelated ones have no edge here: theirs are those of pixels.

    Attributes
    ----------
    cells : list of Cell
    columns : list of (int, str)
        Cell and moment of every number that is recorded.
    """

    def __init__(self, detectors: "list[Detector] | tuple[Detector, ...]") -> None:
        recorded = channels(detectors)
        self._channels = [c for c in recorded if not c.role]
        self._weighed = [c for c in recorded if c.role]
        maps = [c.function for c in self._weighed if c.role == "η"]
        self.functions = (*ANGLES, *dict.fromkeys(maps))
        self._edges: tuple[list[float], list[float]] = ([], [])
        for kind, edges in enumerate(self._edges):
            own = [c.region for c in self._channels if c.region.hard == bool(kind)]
            edges += sorted({e for region in own for e in (region.inner, region.outer) if e > 0})
        cuts = {_cut(azimuth, c.region) for c in self._channels for azimuth in c.region.quadrants}
        self._cuts: list[tuple[float, str]] = sorted(cuts)
        self.cells = self._merged()
        self.columns = [(i, moment) for i, cell in enumerate(self.cells) for moment in cell.moments]

    def _merged(self) -> list[Cell]:
        """Pieces that the same channels hold, as one cell each."""
        found: dict[frozenset[str], list[tuple[int, int, tuple[int, ...]]]] = {}
        softs, hards = (range(len(edges) + 1) for edges in self._edges)
        for soft, hard, quarters in product(softs, hards, product(range(4), repeat=len(self._cuts))):
            piece = (soft, hard, quarters)
            members = frozenset(c.name for c in self._channels if self.holds(c.region, piece))
            if members:
                found.setdefault(members, []).append(piece)
        return [Cell(m, tuple(p), self._functions(m)) for m, p in found.items()]

    def _functions(self, members: frozenset[str]) -> tuple[str, ...]:
        """Weights that channels need of what they hold."""
        needed = {c.function for c in self._weighed if c.plain in members}
        return tuple(name for name in self.functions if name in needed)

    def holds(self, region: Region, piece: tuple[int, int, tuple[int, ...]]) -> bool:
        """Whether a piece lies within a region whose edges are among those of the cells."""
        edges, ring = self._edges[region.hard], piece[1] if region.hard else piece[0]
        first = edges.index(region.inner) + 1 if region.inner > 0 else 0
        if not first <= ring <= edges.index(region.outer):
            return False
        for azimuth in region.quadrants:
            cut = _cut(azimuth, region)
            if round((azimuth - cut[0]) / 90.0) % 4 != piece[2][self._cuts.index(cut)]:
                return False
        return True

    def covering(self, region: Region) -> list[int] | None:
        """Indices of the cells that a region is the union of; None if one is divided by its edges."""
        edges = self._edges[region.hard]
        cuts = {_cut(azimuth, region) for azimuth in region.quadrants}
        if any(e > 0 and e not in edges for e in (region.inner, region.outer)) or not cuts <= set(self._cuts):
            return None
        found = []
        for i, cell in enumerate(self.cells):
            within = {self.holds(region, piece) for piece in cell.pieces}
            if len(within) == 2:
                return None
            if within == {True}:
                found.append(i)
        return found

    def edges_of(self, hard: bool) -> tuple[float, ...]:
        """Angles in mrad of all circles, of one kind of edge."""
        return tuple(self._edges[hard])

    def weights(
        self, kx: Array, ky: Array, wavelength: float, step: tuple[float, float], opening: float | None = None
    ) -> npt.NDArray[np.float64]:
        """Part (n, cells) of each pixel at ``kx, ky`` (1/Å) that lies in a cell.

        Arguments as `rhotem.microscope.detectors.weight`, whose weights of any channel are the sums over its cells.
        """
        return self._summed(self._pieces(kx[None], ky[None], wavelength, step, opening), lambda parts: parts[0])

    def integral_weights(
        self, kx: Array, ky: Array, wavelength: float, step: tuple[float, float], opening: float | None = None
    ) -> npt.NDArray[np.float64]:
        """The same as `rhotem.microscope.detectors.integral_weight`: sums with them are integrals over cells."""
        return self._summed(self._pieces(*around(kx, ky, step), wavelength, step, opening), corrected)

    def _pieces(
        self, kx: Array, ky: Array, wavelength: float, step: tuple[float, float], opening: float | None
    ) -> "_Pieces":
        """Parts of pixels (s, n) between soft edges, and of the first n between hard ones."""
        scale = 1e-3 / wavelength
        soft, hard = ([e * scale for e in edges] for edges in self._edges)
        quarters = []
        for rotation, edges in self._cuts:
            hard_cut = edges == "hard"
            x, y = (kx[0], ky[0]) if hard_cut else (kx, ky)
            quarters.append([quadrant(x, y, rotation + 90.0 * i, step, hard_cut) for i in range(4)])
        return _Pieces(rings_of(soft, kx, ky, step, opening), rings_of(hard, kx[0], ky[0], step, hard=True), quarters)

    def _summed(self, pieces: "_Pieces", over: Callable[[Array], Array]) -> npt.NDArray[np.float64]:
        """What ``over`` makes of soft parts of pixels and neighbours, times hard ones, cell by cell."""
        kinds = [edges == "hard" for _, edges in self._cuts]
        soft: dict[tuple[int, ...], Array] = {}
        result = np.zeros((pieces.soft[0].shape[1], len(self.cells)))
        for i, cell in enumerate(self.cells):
            for ring, outline, own in cell.pieces:
                key = (ring, *(-1 if kind else quarter for kind, quarter in zip(kinds, own, strict=True)))
                if key not in soft:
                    soft[key] = over(pieces.soft_part(key))
                part = soft[key] * pieces.hard[outline]
                for place, (kind, quarter) in enumerate(zip(kinds, own, strict=True)):
                    part = part * pieces.quarters[place][quarter] if kind else part
                result[:, i] += part
        return result

    def recorded(self, parts: Array, x: Array, y: Array, pixel: tuple[float, float]) -> npt.NDArray[np.float64]:
        """Weights (n, columns) of all moments from ``parts`` (n, cells) of pixels at angles ``x, y`` in mrad."""
        weights, columns = self.weighs(x, y, pixel), []
        for cell, part in zip(self.cells, parts.T, strict=True):
            for factors in cell.factors.values():
                columns.append(part * math.prod(weights[factor] for factor in factors))
        return np.stack(columns, axis=1) if columns else np.zeros((len(x), 0))

    def weighs(self, x: Array, y: Array, pixel: tuple[float, float]) -> dict[str, Array]:
        """Values (n,) of all weights at angles ``x, y`` in mrad on pixels of this size."""
        found = {"x": x, "y": y}
        for channel in self._weighed:
            if channel.function not in found:
                found[channel.function] = np.broadcast_to(channel.weigh(x, y, pixel), np.shape(x))
        return found

    @property
    def sensitivities(self) -> dict[str, Sensitivity]:
        """Maps by the names of their weights."""
        return {c.function: c.sensitivity for c in self._weighed if c.sensitivity is not None}

    def within(self, name: str) -> list[int]:
        """Indices of the cells that a channel consists of."""
        return [i for i, cell in enumerate(self.cells) if name in cell.members]


def _cut(azimuth: float, region: Region) -> tuple[float, str]:
    """The quartering of the plane that a quadrant belongs to: azimuth modulo 90°, and its edges."""
    return round(azimuth % 90.0, 9) % 90.0, "hard" if region.hard else "soft"
