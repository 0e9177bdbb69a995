"""`Desk`: the virtual microscope of one person, without a page: what is set, and what is seen."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, RhoTEMError
from rhotem.library.view import words
from rhotem.library.view.entries import FREE, Entry, Opened, open_entry, twins
from rhotem.library.view.fixed import AnyLimits
from rhotem.library.view.picture import Picture, picture
from rhotem.library.view.settings import NM

Array = npt.NDArray[Any]

#: Entries that are kept open: the one that is shown, its twin, and some that were.
OPEN = 4
#: What stands for all twins, and how many are shown at most.
ALL, BESIDE = "*", 2


@dataclass(frozen=True, eq=False)
class Diffraction:
    """A position-averaged pattern.

    Parameters
    ----------
    values : (kx, ky) array
        Fraction of the beam per pixel, the beam in the middle.
    step : (float, float)
        mrad per pixel.
    """

    values: Array
    step: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Seen:
    """All that is seen at one position of the knobs.

    Parameters
    ----------
    image : Picture
    others : tuple of Picture
        The same of the entries to compare with.
    scale : (float, float)
        Values that are drawn black and white, for all.
    diffraction : Diffraction or None
    caption : str
    seconds : float
        That it took.
    """

    image: Picture
    others: tuple[Picture, ...]
    scale: tuple[float, float]
    diffraction: Diffraction | None
    caption: str
    seconds: float


class Desk:
    """Entries to choose from, one that is open, and its settings.

    Parameters
    ----------
    entries : sequence of Entry

    Raises
    ------
    InputError
        If none of them can be read.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = {entry.id: entry for entry in entries}
        self._open: OrderedDict[str, Opened] = OrderedDict()
        self.opened = self._first()
        self.settings = self.limits.start()
        self.others: tuple[Opened, ...] = ()

    @property
    def limits(self) -> AnyLimits:
        """Of the open entry."""
        return self.opened.limits

    @property
    def twins(self) -> list[Entry]:
        """Entries that differ from the open one in their density alone: free atoms first, then learned ones."""
        found = twins(self.opened.entry, list(self.entries.values()))
        return sorted(found, key=lambda entry: (entry.source not in FREE, not entry.source.startswith("model")))

    def found(self, words: str) -> list[Entry]:
        """Entries whose title or id holds all of these words, whatever their case."""
        wanted = words.lower().split()
        return [e for e in self.entries.values() if all(w in f"{e.title} {e.id}".lower() for w in wanted)]

    def choose(self, identifier: str) -> None:
        """Open another entry; what it holds, too, stays as it is set.

        Raises
        ------
        InputError
            If there is none of that name, or it is damaged; then the open one stays.
        """
        self.opened = self._read(identifier)
        self.others = ()
        start = self.limits.start()
        kept = self.settings.model_dump()
        for keys in (("image", "inner_mrad", "outer_mrad"), *((key,) for key in kept)):
            try:
                tried = start.changed(**{key: kept[key] for key in keys})
                self.limits.check(tried)
            except InputError:
                continue
            start = tried
        self.settings = start

    def compare(self, identifier: str) -> None:
        """Show a twin beside the open entry; "": none, `ALL`: the first two of free atoms, learned, DFT.

        Raises
        ------
        InputError
            If it is none of its twins, or damaged, or does not hold what is set.
        """
        known = {entry.id: entry for entry in self.twins}
        if identifier and identifier != ALL and identifier not in known:
            raise InputError(f"entry {identifier!r} differs from {self.opened.entry.id} in more than its density")
        chosen = list(known)[:BESIDE] if identifier == ALL else [identifier] if identifier else []
        opened = tuple(self._read(one) for one in chosen)
        for other in opened:
            other.limits.check(self.settings)
        self.others = opened

    @property
    def compared(self) -> str:
        """What `compare` was asked."""
        return "" if not self.others else ALL if len(self.others) > 1 else self.others[0].entry.id

    def set(self, **changes: Any) -> None:
        """Turn knobs.

        Raises
        ------
        InputError
            If the response does not hold what is asked; then all stays as it was.
        """
        if "image" in changes and changes["image"] != self.settings.image:  # another detector has its own ring
            changes = {"inner_mrad": None, "outer_mrad": None, **changes}
        asked = self.settings.changed(**changes)
        self.limits.check(asked)
        for other in self.others:
            other.limits.check(asked)
        self.settings = asked

    def see(self) -> Seen:
        """Images and pattern as set."""
        began = time.perf_counter()
        image = picture(self.limits, self.settings)
        others = tuple(picture(other.limits, self.settings) for other in self.others)
        every = [shown.values for shown in (image, *others)]
        low, high = min(float(v.min()) for v in every), max(float(v.max()) for v in every)
        said = words.caption(self.opened, self.settings)
        spread = high - low if high > low else 1.0
        shown = self.diffraction()
        return Seen(image, others, (low, low + spread), shown, said, time.perf_counter() - began)

    def diffraction(self) -> Diffraction | None:
        """The position-averaged pattern at this thickness and aperture; None where none is kept."""
        held = self.opened.patterns
        if held is None:
            return None
        try:
            values = held.pacbed(thickness=NM * self.settings.thickness_nm, convergence=self.settings.convergence_mrad)
        except RhoTEMError:  # an aperture or a thickness that the patterns lack
            return None
        return Diffraction(values, held.step)

    def columns(self) -> tuple[list[str], Array, npt.NDArray[np.bool_]]:
        """Labels, and places (n, 2) in Å in the frame of the picture, of the columns within it; which to name.

        Of each column of the cell the one nearest to the middle is named, so that names do not lie on each other.
        """
        cell, angle, size = np.array(self.limits.response.extent), self.settings.rotation, self._size()
        corners = _turned(np.array([[0, 0], [size[0], 0], [0, size[1]], size]), -angle)
        ranges = zip(np.floor(corners.min(axis=0) / cell), np.ceil(corners.max(axis=0) / cell), strict=True)
        shifts = np.stack(np.meshgrid(*(np.arange(a - 1, b + 1) for a, b in ranges)), axis=-1).reshape(-1, 2)
        labels: list[str] = []
        places, named = [np.zeros((0, 2))], [np.zeros(0, dtype=bool)]
        for label, x, y in self.opened.entry.columns:
            there = _turned(np.array([x, y]) + shifts * cell, angle)
            inside = there[((there >= 0) & (there < size)).all(axis=1)]
            away = np.hypot(*(inside - size / 2).T)
            labels += [label] * len(inside)
            places.append(inside)
            named.append(np.arange(len(inside)) == (away.argmin() if len(away) else 0))
        return labels, np.concatenate(places), np.concatenate(named)

    def _size(self) -> Array:
        """Sides in Å of the picture, in whole cells."""
        cell = np.array(self.limits.response.extent)
        return np.asarray(cell * np.maximum(1, np.ceil(self.settings.field_of_view_A / cell - 1e-9)))

    def _first(self) -> Opened:
        """The first entry that can be read."""
        for number, identifier in enumerate(self.entries, start=1):
            try:
                return self._read(identifier)
            except InputError:
                if number == len(self.entries):
                    raise
        raise InputError("there is no entry to show")

    def _read(self, identifier: str) -> Opened:
        """An entry, kept open for a while."""
        if identifier not in self.entries:
            raise InputError(f"entry {identifier!r}: there is none of that name")
        if identifier not in self._open:
            self._open[identifier] = open_entry(self.entries[identifier])
        self._open.move_to_end(identifier)
        while len(self._open) > OPEN:
            self._open.popitem(last=False)
        return self._open[identifier]


def _turned(places: Array, angle: float) -> Array:
    """Places (n, 2) of the crystal's frame in that of a scan turned by ``angle``."""
    x, y = places.T
    return np.stack([np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x], axis=1)
