"""Macroscopic numbers of a specimen: names, units, how long they hold."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rhotem.core import InputError

#: 0 °C in K, and A·s in a mAh.
CELSIUS, MILLIAMPERE_HOUR = 273.15, 3.6


@dataclass(frozen=True)
class Quantity:
    """A number that is known by name.

    Parameters
    ----------
    unit : str
        Of the record; "" of pure numbers.
    about : str
    others : mapping
        Further units as (factor, offset) to the record's.
    limits : (float, float)
    holds : bool
        Whether it is a state, which holds until another is given; else it is of its entry alone.
    ends : tuple of str
        States that no longer hold where this is given.
    """

    unit: str
    about: str
    others: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    limits: tuple[float, float] = (-np.inf, np.inf)
    holds: bool = False
    ends: tuple[str, ...] = ()


#: By name. Other names are taken with the unit that they come with.
QUANTITIES: dict[str, Quantity] = {
    "cycle": Quantity("", "cycles so far", limits=(0, np.inf), holds=True, ends=("x", "soc")),
    "x": Quantity("", "mobile ions over their sites, 1 full", limits=(0, 1), holds=True),
    "soc": Quantity("%", "state of charge", {"": (100.0, 0.0)}, (0, 100), holds=True),
    "temperature": Quantity(
        "K", "of the cell", {"degC": (1.0, CELSIUS), "°C": (1.0, CELSIUS), "C": (1.0, CELSIUS)}, (0, np.inf), holds=True
    ),
    "voltage": Quantity("V", "of the cell, at rest where x is given with it", {"mV": (1e-3, 0.0)}),
    "capacity": Quantity("mAh/g", "discharged", {"Ah/kg": (1.0, 0.0), "C/g": (1 / MILLIAMPERE_HOUR, 0.0)}, (0, np.inf)),
}
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)")
_NAME = re.compile(r"[A-Za-z]\w*")
#: What a twin says of every entry, which no number may be called.
TAKEN = frozenset(("entry", "time", "file", "note", "refused"))


@dataclass(frozen=True)
class Number:
    """A value with its unit."""

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:.6g} {self.unit}".rstrip()


def parse_number(text: str) -> tuple[str, Number]:
    """A number as it is typed, ``capacity=152mAh/g``, in the unit of `QUANTITIES`.

    Raises
    ------
    InputError
        If it is none, its unit is not known, or it lies beyond what is possible.
    """
    name, sign, rest = (part.strip() for part in text.partition("="))
    found = _NUMBER.fullmatch(rest)
    if not sign or not _NAME.fullmatch(name) or found is None:
        raise InputError(f"--number {text}: expected NAME=VALUE and a unit, as capacity=152mAh/g")
    if name in TAKEN:
        raise InputError(f"--number {text}: {name} means something else in a twin; give the number another name")
    value, unit = float(found[1]), found[2]
    if not np.isfinite(value):
        raise InputError(f"--number {text}: larger than numbers can be here; give it in a larger unit")
    known = QUANTITIES.get(name)
    if known is None:
        if not unit:
            raise InputError(
                f"--number {text}: give its unit, 1 for a pure number, as {name}=0.3eV; without unit are known: "
                f"{', '.join(n for n, q in QUANTITIES.items() if not q.unit)}"
            )
        return name, Number(value, "" if unit == "1" else unit)
    if unit != known.unit:
        if unit not in known.others:
            wanted = [u or "no unit" for u in (known.unit, *known.others)]
            raise InputError(f"--number {text}: {name} is given in {' or '.join(wanted)}")
        factor, offset = known.others[unit]
        value = factor * value + offset
    if not known.limits[0] <= value <= known.limits[1]:
        least, most = known.limits
        raise InputError(f"--number {text}: {name} ({known.about}) lies between {least:g} and {most:g} {known.unit}")
    return name, Number(value, known.unit)


def possible(name: str, number: Number) -> bool:
    """Whether a number is finite and, if its name is known, in the record's unit and within what is possible."""
    known = QUANTITIES.get(name)
    if not np.isfinite(number.value) or known is None:
        return bool(np.isfinite(number.value))
    return number.unit == known.unit and known.limits[0] <= number.value <= known.limits[1]


def followed(before: Mapping[str, Number], given: Mapping[str, Number]) -> dict[str, Number]:
    """States after an entry that gives some numbers."""
    held = dict(before)
    for name in given:
        for ended in QUANTITIES[name].ends if name in QUANTITIES else ():
            held.pop(ended, None)
    return held | {name: one for name, one in given.items() if name in QUANTITIES and QUANTITIES[name].holds}
