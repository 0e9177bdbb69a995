"""Several states of one structure: records that differ in how self-consistency was started. The lowest is the label."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from rhotem.labels.gpaw_settings import unusual
from rhotem.labels.label import Label

#: Settings that say where self-consistency begins and how long it may take, not what is calculated.
START = ("start_displacement", "start_seed", "start_moments", "max_iterations")
#: eV per atom below which two energies are those of one state; convergence leaves 0.1 meV.
SAME_STATE = 1e-3
#: Å between positions or cell vectors of one structure; files of the first set are not rounded to 1e-8 Å.
SAME_PLACE = 1e-4


@dataclass(frozen=True, eq=False)
class State:
    """A record without its fields: what was calculated, and the energy in eV per cell it ended with."""

    name: str
    numbers: npt.NDArray
    positions: npt.NDArray[np.float64]
    cell: npt.NDArray[np.float64]
    charge: float
    meta: dict[str, Any]

    @classmethod
    def of(cls, record: Label, name: str) -> "State":
        """The state of a record."""
        s = record.structure
        return cls(name, s.numbers, s.positions, s.cell, s.charge, record.meta)

    @property
    def energy(self) -> float:
        """Of the cell, in eV."""
        return float(self.meta["energy_eV"])

    def rivals(self, other: "State") -> bool:
        """Whether both are the same atoms in the same cell with the same settings but for the start."""
        return (
            np.array_equal(self.numbers, other.numbers)
            and abs(self.charge - other.charge) < 1e-6
            and np.allclose(self.cell, other.cell, rtol=0, atol=SAME_PLACE)
            and np.allclose(self.positions, other.positions, rtol=0, atol=SAME_PLACE)
            and None not in (self.meta.get("energy_eV"), other.meta.get("energy_eV"))
            and _calculated(self) == _calculated(other)
        )

    def below(self, other: "State") -> bool:
        """Whether this is another state than a rival's, and lower."""
        return self.energy < other.energy - SAME_STATE * len(self.numbers)

    def higher(self, other: "State") -> dict[str, float]:
        """States known to be above this one, in eV per cell, once ``other`` is found to be."""
        gap = other.energy - self.energy
        theirs = {name: above + gap for name, above in other.meta.get("higher_states_eV", {}).items()}
        return {**self.meta.get("higher_states_eV", {}), **theirs, other.name: gap}


def why_not(one: State, lower: State) -> str:
    """Why ``one`` is not kept beside a rival that is not above it."""
    if not lower.below(one):
        return f"same: the state of {lower.name}"
    return f"higher: {one.energy - lower.energy:.3f} eV per cell above {lower.name}"


def superseded(states: Iterable[State]) -> dict[str, tuple[State, float]]:
    """States of which a lower one is among ``states``: by name, the lowest and how far it is below in eV per cell.

    States that are the same within `SAME_STATE` all stay.
    """
    groups: dict[tuple, list[list[State]]] = {}
    for state in states:
        alike = groups.setdefault((*state.numbers.tolist(), round(state.charge, 3)), [])
        for group in alike:
            if state.rivals(group[0]):
                group.append(state)
                break
        else:
            alike.append([state])
    found: dict[str, tuple[State, float]] = {}
    for group in (g for alike in groups.values() for g in alike if len(g) > 1):
        lowest = min(group, key=lambda s: s.energy)
        found |= {s.name: (lowest, s.energy - lowest.energy) for s in group if lowest.below(s)}
    return found


def _calculated(state: State) -> dict[str, Any]:
    """What was solved: settings that are not defaults, but for the start; U, functional, and what a retry changed."""
    meta = state.meta
    settings = unusual(meta.get("settings") or {}, (chemical_symbols[z] for z in state.numbers))
    return {
        "settings": {k: v for k, v in settings.items() if k not in START},
        "U": meta.get("U"),
        "xc": meta.get("xc"),
        "occupations": (meta.get("attempt_changes") or {}).get("occupations"),
    }
