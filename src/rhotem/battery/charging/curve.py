"""Convex hull of the states of charge, and voltages: raw, and with the shifts of calibrated couples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.charging.calibration import Calibrated, Calibration
from rhotem.battery.charging.redox import couple_name, couples_between
from rhotem.battery.charging.states import State

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metal:
    """The other electrode: the mobile ion's metal, and the energy of one of its atoms in eV."""

    ion: str
    energy: float


@dataclass(frozen=True)
class Step:
    """A plateau between two states of charge: x from ``high`` down to ``low``, volts against the ion's metal.

    ``calibrated`` is None where a couple is not known; ``couples``: shares of couples in the electrons given.
    """

    high: float
    low: float
    raw: float
    calibrated: Calibrated | None
    couples: Mapping[str, float]

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        volts = None if self.calibrated is None else self.calibrated.value
        error = None if self.calibrated is None else self.calibrated.error
        return {
            "x_high": self.high,
            "x_low": self.low,
            "raw_V": self.raw,
            "calibrated_V": volts,
            "error_V": error,
            "couples": dict(self.couples),
        }


def formation_energies(states: Sequence[State], sites: int) -> Floats:
    """Energy of every state over the mixture of the first and last one, eV per site of the mobile ion."""
    x, energy = np.array([s.x for s in states]), np.array([s.energy for s in states])
    share = (x - x[-1]) / (x[0] - x[-1])
    return (energy - share * energy[0] - (1 - share) * energy[-1]) / sites


def hull(x: Floats, energy: Floats) -> list[int]:
    """Indices of the points on the lower convex hull, in the order of x (Andrew's monotone chain)."""
    chain: list[int] = []
    for index in np.argsort(x, kind="stable").tolist():
        while len(chain) > 1:
            one, two = chain[-2], chain[-1]
            turn = (x[two] - x[one]) * (energy[index] - energy[one]) - (energy[two] - energy[one]) * (x[index] - x[one])
            if turn > 1e-12:
                break
            chain.pop()
        chain.append(index)
    return chain


def voltage(high: State, low: State, ion_energy: float) -> float:
    """Mean voltage in V between two states of one cell, against the metal of the ion (charge 1).

    M. K. Aydinol et al., Phys. Rev. B 56, 1354 (1997); entropy and volume left out.
    """
    return -(high.energy - low.energy - (high.ions - low.ions) * ion_energy) / (high.ions - low.ions)


def step_between(high: State, low: State, metal: Metal, calibration: Calibration | None) -> Step:
    """The plateau between two states."""
    raw = voltage(high, low, metal.energy)
    symbols = [state.structure.atoms.get_chemical_symbols() for state in (high, low)]
    shares = couples_between(symbols[0], symbols[1])
    calibrated = calibration.apply(raw, shares, metal.ion) if calibration is not None and shares is not None else None
    named = {couple_name(couple): share for couple, share in (shares or {}).items()}
    return Step(high.x, low.x, raw, calibrated, named)


def steps_on_hull(states: Sequence[State], metal: Metal, calibration: Calibration | None) -> list[Step]:
    """Plateaus between neighbours on the hull, from x = 1 down: the voltage in equilibrium."""
    chain = hull(np.array([s.x for s in states]), formation_energies(states, 1))[::-1]
    return [step_between(states[one], states[two], metal, calibration) for one, two in pairwise(chain)]
