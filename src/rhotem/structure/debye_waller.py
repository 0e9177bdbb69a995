"""How far atoms move: mean square displacements of every atom and, in words, where they come from.

In this order: what the user gives, what the structure's source states (`rhotem.structure.displacement_tensors`), the
table by class of compound (`rhotem.structure.displacement_classes`), published values of the element and at last a
model of its mass (`rhotem.structure.displacement_elements`). Nothing is taken without being said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.structure.debye import ROOM, at_temperature, debye_displacement, debye_temperature
from rhotem.structure.displacement_classes import TABLE, classify
from rhotem.structure.displacement_elements import element_value
from rhotem.structure.displacement_tensors import REFUSED, at_another_temperature, judged
from rhotem.structure.model import Structure

__all__ = [
    "TABLE",
    "ThermalMotion",
    "classify",
    "debye_displacement",
    "debye_temperature",
    "mean_square_displacements",
    "thermal_motion",
]

Floats = npt.NDArray[np.float64]

#: Given ⟨u²⟩ in Å² above which B = 8π²⟨u²⟩ is probably meant, and above which nothing is a crystal any more.
LARGE, LARGEST = 0.1, 0.5


@dataclass(frozen=True, eq=False)
class ThermalMotion:
    """Mean square displacements of the atoms of a structure at one temperature.

    Parameters
    ----------
    values : (N,) or (N, 3, 3) array
        ⟨u²⟩ along any axis in Å² where all atoms move alike in all directions, else tensors ⟨u_i u_j⟩, Cartesian.
    temperature : float or None
        K; None where that of a trajectory is not known.
    words : str
        Where the values come from, element by element.
    short : str
        The kinds of sources, for captions.
    remarks : tuple of str
        What the user should know: values that were refused, assumed or modelled.
    elements : dict
        Mean ⟨u²⟩ along one axis by element.
    """

    values: Floats
    temperature: float | None
    words: str
    short: str
    remarks: tuple[str, ...] = ()
    elements: dict[str, float] = field(default_factory=dict)

    @property
    def isotropic(self) -> Floats:
        """⟨u²⟩ along one axis of every atom, the mean over directions, in Å²; shape (N,)."""
        return self.values if self.values.ndim == 1 else np.trace(self.values, axis1=1, axis2=2) / 3.0

    def record(self) -> dict[str, Any]:
        """What a result should remember of it, JSON-ready."""
        return {
            "temperature_K": self.temperature,
            "displacements": self.words,
            "displacement_sources": self.short,
            "mean_square_displacements_A2": self.elements,
            "anisotropic": self.values.ndim == 3,
            "displacement_remarks": list(self.remarks),
        }


def mean_square_displacements(
    structure: Structure, temperature: float = ROOM, zero_point: bool = True
) -> tuple[Floats, str]:
    """⟨u²⟩ of every atom along one axis in Å², the mean over directions, and the source in words: `thermal_motion`."""
    motion = thermal_motion(structure, temperature, zero_point=zero_point)
    return motion.isotropic, motion.words


def thermal_motion(
    structure: Structure,
    temperature: float = ROOM,
    *,
    msd: Mapping[str, float] | None = None,
    zero_point: bool = True,
) -> ThermalMotion:
    """How far the atoms of a structure move at a temperature, from the best source there is for each of them.

    Parameters
    ----------
    structure : Structure
        Its ``displacements``, if it has them, are in its own frame.
    temperature : float
        K. Stated, tabulated and published values are brought there by the Debye model of each atom (each principal axis
        of a tensor) that agrees with them; at 0 K the zero-point motion is left.
    msd : mapping, optional
        ⟨u²⟩ along one axis in Å² by element, at ``temperature``: used as they are, before any other source.
    zero_point : bool
        False: motion is classical, ⟨u²⟩ ∝ T, and nothing moves at 0 K: the limit in which frozen phonons must give the
        static picture. Given values stay as they are.

    Raises
    ------
    InputError
        If the temperature is negative or not a number, a given value is none or of an element that is not there, or
        the structure's tensors have a wrong shape.
    """
    if not (np.isfinite(temperature) and temperature >= 0):
        raise InputError(f"temperature {temperature} K: expected a number from 0 upwards")
    given = dict(msd or {})
    remarks = list(_check_given(structure, given))
    sources = _Sources(structure, temperature, zero_point)
    scalar = np.full(len(structure), np.nan)
    symbols = np.array(structure.atoms.get_chemical_symbols())
    for symbol, value in given.items():
        scalar[symbols == symbol] = value
        sources.say("given", "given", symbol, value)
    tensors = _stated(structure, sources, np.isfinite(scalar), remarks)
    left = np.isnan(scalar) if tensors is None else np.isnan(scalar) & np.isnan(tensors[:, 0, 0])
    for symbol in dict.fromkeys(symbols[left].tolist()):
        own = left & (symbols == symbol)
        scalar[own] = sources.tabulated(symbol, float(structure.atoms.get_masses()[own][0]))
    values = scalar
    if tensors is not None:
        values = np.where(np.isnan(tensors), scalar[:, None, None] * np.eye(3), tensors)
    motion = ThermalMotion(values, temperature, sources.words(), sources.short(), (*remarks, *sources.remarks()))
    elements = {s: float(motion.isotropic[symbols == s].mean()) for s in dict.fromkeys(symbols.tolist())}
    motion.elements.update(elements)
    return motion


def _check_given(structure: Structure, given: Mapping[str, float]) -> list[str]:
    """Refuse given values that cannot be meant; remarks on those that may not be."""
    there = set(structure.atoms.get_chemical_symbols())
    for symbol, value in given.items():
        if symbol not in there:
            raise InputError(f"⟨u²⟩ given for {symbol}: the structure has {', '.join(sorted(there))}")
        if not (np.isfinite(value) and 0 <= value <= LARGEST):
            raise InputError(f"⟨u²⟩ of {symbol} {value:g}: expected 0 to {LARGEST:g} Å²; B is 8π² = 79 times as much")
    return [
        f"⟨u²⟩ of {s} {v:g} Å² is large; B is 8π² = 79 times as much, was that meant?"
        for s, v in given.items()
        if v > LARGE
    ]


def _stated(
    structure: Structure, sources: "_Sources", taken: npt.NDArray[np.bool_], remarks: list[str]
) -> Floats | None:
    """Tensors that the structure's source states, at the temperature of ``sources``, NaN where they are of no use.

    None if there are none at all.
    """
    believed, refused = judged(structure)
    remarks.extend(refused)
    if believed is None:
        return None
    believed[taken] = np.nan
    if np.isnan(believed).all():
        return None
    given = structure.info.get("displacements_kelvin")
    stated = None if given is None or not float(given) > 0 else float(given)
    kelvin = ROOM if stated is None else stated
    symbols, masses = np.array(structure.atoms.get_chemical_symbols()), structure.atoms.get_masses()
    tensors = at_another_temperature(believed, masses, kelvin, sources.temperature, sources.zero_point)
    lost = np.isnan(tensors[:, 0, 0]) & ~np.isnan(believed[:, 0, 0])
    if lost.any():
        listed = ", ".join(dict.fromkeys(symbols[lost].tolist()))
        remarks.append(f"{REFUSED} for {listed}: known at {kelvin:g} K, they cannot be continued to other temperatures")
    origin = f"the structure's source, {kelvin:g} K"
    if stated is None:
        origin = "the structure's source, which states no temperature: taken as room temperature"
    used = ~np.isnan(tensors[:, 0, 0])
    for symbol in dict.fromkeys(symbols[used].tolist()):
        own = tensors[used & (symbols == symbol)]
        sources.say(origin, "structure file", symbol, float(np.trace(own, axis1=1, axis2=2).mean() / 3.0))
    return tensors if used.any() else None


class _Sources:
    """Keeps what is said of every source while values are collected."""

    def __init__(self, structure: Structure, temperature: float, zero_point: bool) -> None:
        self.temperature, self.zero_point = temperature, zero_point
        self._doubtful: list[str] = []
        self._modelled: list[str] = []
        self._kind = classify(structure)
        self._elements = set(structure.atoms.get_chemical_symbols())
        self._said: dict[str, list[str]] = {}
        self._kinds: dict[str, None] = {}

    def say(self, origin: str, kind: str, symbol: str, value: float) -> None:
        """An element, its mean ⟨u²⟩ and the origin of it."""
        self._said.setdefault(origin, []).append(f"{symbol} {value:.3g}")
        self._kinds[kind] = None

    def tabulated(self, symbol: str, mass: float) -> float:
        """⟨u²⟩ from the table by class of compound, else from what is known of the element."""
        values, reference = TABLE.get(self._kind, ({}, ""))
        if symbol in values:
            found = at_temperature(mass, values[symbol], ROOM, self.temperature, self.zero_point)
            self.say(f"table, {self._kind}: {reference}", f"table of {self._kind}", symbol, found)
            return found
        known = element_value(symbol, mass, self._elements)
        found = at_temperature(mass, known.displacement, known.kelvin, self.temperature, self.zero_point)
        self.say(known.origin, "value of the element" if known.published else "Debye model", symbol, found)
        if not known.published:
            self._modelled.append(f"⟨u²⟩ of {symbol} {found:.3g} Å²: {known.origin}; --msd {symbol}=... gives another")
        elif "±" in known.origin:
            self._doubtful.append(f"{symbol} {found:.3g}")
        return found

    def remarks(self) -> tuple[str, ...]:
        """What to say of values that may be far off."""
        if not self._doubtful:
            return tuple(self._modelled)
        elements = f"⟨u²⟩ of {', '.join(self._doubtful)} Å² is that of the element, ± 40 % in a compound"
        return (f"{elements}; --msd gives another", *self._modelled)

    def words(self) -> str:
        """All of it in one line."""
        parts = "; ".join(f"{', '.join(values)} Å² ({origin})" for origin, values in self._said.items())
        return f"{parts}; at {self.temperature:g} K" + ("" if self.zero_point else ", classical")

    def short(self) -> str:
        """The kinds of sources."""
        return " + ".join(self._kinds)
