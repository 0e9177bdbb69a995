"""Shifts of a potential's voltages by redox couple, from measured mean voltages of known electrodes.

`calibration.json` holds, for the default potential, what it gives for each electrode (``raw_V``) and what was measured,
with the source; ``scripts/make_voltage_calibration.py`` makes the raw values.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np

from rhotem.battery.charging.redox import Couple

#: The ion whose shift is part of the couples'; of others the table decides how much they differ.
FIRST_ION = "Li"


@dataclass(frozen=True)
class Calibrated:
    """A calibrated voltage and its error (one standard deviation), V."""

    value: float
    error: float


@dataclass(frozen=True)
class Shift:
    """What is added to raw voltages of a couple with lithium, V.

    Parameters
    ----------
    value, error : float
    electrodes : tuple of str
        Of the couple, or of its metal.
    basis : "couple", "metal"
        Known from electrodes of the couple itself, or of other couples of its metal.
    """

    value: float
    error: float
    electrodes: tuple[str, ...]
    basis: str


@dataclass(frozen=True)
class Electrode:
    """An electrode of known voltage: name, mobile ion, couples at work (in equal shares), raw and measured V."""

    name: str
    ion: str
    couples: tuple[Couple, ...]
    raw: float
    measured: float

    @property
    def shift(self) -> float:
        """Measured minus raw, V."""
        return self.measured - self.raw


class Calibration:
    """Shifts of all couples that electrodes are known of.

    The shift of an electrode is that of its couple, plus one number for every ion other than lithium; both by least
    squares. The error of a couple is the root mean square of what its electrodes are off by when all the others predict
    them, or that of all electrodes together where this is larger: couples have three electrodes at most. A couple
    without any has the mean of its metal's others; what couples of one metal differ by is added to the error.
    """

    def __init__(self, electrodes: Sequence[Electrode]) -> None:
        self.electrodes = tuple(electrodes)
        self.couples = list(dict.fromkeys(couple for electrode in electrodes for couple in electrode.couples))
        ions = [electrode.ion for electrode in electrodes if electrode.ion != FIRST_ION]
        self._names: list[Any] = [*self.couples, *dict.fromkeys(ions)]
        matrix = np.array([self._row(e) for e in electrodes]).reshape(len(electrodes), len(self._names))
        shifts = np.array([electrode.shift for electrode in electrodes])
        self._inverse = np.linalg.pinv(matrix)
        self._values = dict(zip(self._names, (self._inverse @ shifts).tolist(), strict=True))
        self._matrix = matrix

    def _row(self, electrode: Electrode) -> list[float]:
        shares = {couple: 1.0 / len(electrode.couples) for couple in electrode.couples}
        return [shares.get(name, 1.0 if name == electrode.ion else 0.0) for name in self._names]

    def ion_shift(self, ion: str) -> float | None:
        """What is added for the ion, V; None where no electrode of it is known."""
        return 0.0 if ion == FIRST_ION else self._values.get(ion)

    @cached_property
    def misses(self) -> dict[str, float]:
        """Name -> measured minus what the other electrodes predict, V; without those that no other can predict."""
        result = {}
        for electrode in self.electrodes:
            others = Calibration([e for e in self.electrodes if e.name != electrode.name])
            row = np.array(others._row(electrode))
            known = set(electrode.couples) <= set(others.couples) and others.ion_shift(electrode.ion) is not None
            # predicted only if the row is a combination of those of the others
            if known and np.allclose(row @ others._inverse @ others._matrix, row, atol=1e-9):
                result[electrode.name] = electrode.shift - float(row @ np.array(list(others._values.values())))
        return result

    @cached_property
    def pooled(self) -> float:
        """Root mean square of all `misses`, V."""
        return _rms(self.misses.values())

    @cached_property
    def between_couples(self) -> float:
        """Root mean square of what shifts of couples differ by from those of the same metal's other couples, V."""
        found = []
        for metal, low in self.couples:
            others = [self._values[c] for c in self.couples if c[0] == metal and c[1] != low]
            if others:
                found.append(self._values[metal, low] - float(np.mean(others)))
        return _rms(found)

    @property
    def raw_error(self) -> float:
        """Root mean square of measured minus raw over all electrodes, V."""
        return _rms(electrode.shift for electrode in self.electrodes)

    def shift(self, couple: Couple) -> Shift | None:
        """The shift of a couple with lithium; None where nothing is known of its metal."""
        if couple in self.couples:
            known = [e for e in self.electrodes if couple in e.couples]
            misses = [self.misses[e.name] for e in known if e.name in self.misses]
            error = max(_rms(misses), self.pooled) if misses else self.pooled
            return Shift(self._values[couple], error, tuple(e.name for e in known), "couple")
        others = [c for c in self.couples if c[0] == couple[0]]
        if not others:
            return None
        names = tuple(e.name for e in self.electrodes if set(e.couples) & set(others))
        value = float(np.mean([self._values[c] for c in others]))
        return Shift(value, float(np.hypot(self.pooled, self.between_couples)), names, "metal")

    def apply(self, raw: float, shares: Mapping[Couple, float], ion: str = FIRST_ION) -> Calibrated | None:
        """A raw voltage with the shifts of its couples, in their shares, and of its ion; None where one is unknown."""
        more = self.ion_shift(ion)
        if more is None:
            return None
        value, error = raw + more, 0.0
        for couple, share in shares.items():
            shift = self.shift(couple)
            if shift is None:
                return None
            value, error = value + share * shift.value, error + abs(share) * shift.error
        return Calibrated(value, error)


def _rms(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.sqrt(np.mean(np.square(listed)))) if listed else float("nan")


def read_table() -> dict[str, Any]:
    """The table of electrodes as it stands in the file."""
    return dict(json.loads(files("rhotem.battery.charging").joinpath("calibration.json").read_text("utf-8")))


@cache
def calibration_of(potential: str) -> Calibration | None:
    """The calibration of a potential; None where there is none."""
    table = read_table()
    if table["potential"] != potential:
        return None
    electrodes = []
    for row in table["electrodes"]:
        if row["raw_V"] is None:  # not computed yet
            continue
        couples = tuple((metal, low) for metal, low in row["couples"])
        electrodes.append(Electrode(row["name"], row["ion"], couples, row["raw_V"], row["measured_V"]))
    return Calibration(electrodes)
