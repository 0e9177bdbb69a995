"""A series of states of charge: every state relaxed, then hull, voltages and charges."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.battery.charging.asked import Asked
from rhotem.battery.charging.calibration import Calibrated, Calibration, calibration_of
from rhotem.battery.charging.candidates import Host, candidates, host_of, is_layered, other_axes
from rhotem.battery.charging.charges import ElementCharges
from rhotem.battery.charging.curve import Metal, Step, formation_energies, step_between, steps_on_hull
from rhotem.battery.charging.states import State, lowest
from rhotem.battery.charging.store import Store
from rhotem.battery.potentials import potential_calculator, unknown_elements
from rhotem.battery.relax import Settings, relax
from rhotem.core import InputError, Progress, silent
from rhotem.structure.model import Structure
from rhotem.structure.moments import lost as lost_moments
from rhotem.structure.phases import phase

USUAL = Asked()
#: Layered oxides with less than this share of their ions are held together by what the potential does not know.
EMPTY = 0.5


@dataclass(frozen=True, eq=False)
class Series:
    """States of charge of a crystal, x from 1 down, and what follows from their energies.

    Parameters
    ----------
    host : Host
    asked : Asked
    states : sequence of State
    metal : Metal
    formation : (n,) array
        Energy over the mixture of both ends, eV per site of the ion.
    steps : sequence of Step
        Plateaus on the convex hull.
    mean : Step
        From the first to the last state.
    notes : sequence of str
    """

    host: Host
    asked: Asked
    states: Sequence[State]
    metal: Metal
    formation: np.ndarray
    steps: Sequence[Step]
    mean: Step
    notes: Sequence[str]

    def on_hull(self, state: State) -> bool:
        """Whether a state is stable against its neighbours."""
        return any(state.x in (step.high, step.low) for step in self.steps)


def charge_series(
    crystal: Structure,
    asked: Asked = USUAL,
    out: Path | None = None,
    *,
    density: str | None = None,
    progress: Progress = silent,
) -> Series:
    """States of charge of a crystal, relaxed, with hull, voltages, and charges of a density.

    Parameters
    ----------
    crystal : Structure
        With all mobile ions in.
    asked : Asked
    out : path, optional
        Folder in which states are kept as they are done: the same series goes on there.
    density : str, optional
        Source of the density whose charges are wanted ("model"); None: no charges.
    progress : Progress

    Raises
    ------
    InputError
        If the crystal has no mobile ion, cannot be charged so far, or the potential does not know an element.
    """
    host = host_of(crystal, asked)
    calculator = potential_calculator(asked.potential)
    odd = unknown_elements(calculator, crystal.numbers)
    if odd:
        raise InputError(f"potential {asked.potential} does not know {', '.join(odd)}; choose another --potential")
    store = Store(out, host, asked) if out is not None else None
    charges = None if density is None else ElementCharges(density)
    states: list[State] = []
    full = _state(host, host.structure, 1.0, (asked, calculator, store), progress)
    for done, x in enumerate(host.x):
        progress("states of charge", done, len(host.x))
        found = full if x == 1.0 else _state(host, full.structure, x, (asked, calculator, store), progress)
        states.append(replace(found, charges=_charges(found, x, charges, store)))
    progress("states of charge", len(host.x), len(host.x))
    return judged(host, asked, states, metal_of(host.ion, asked, calculator))


def judged(host: Host, asked: Asked, states: Sequence[State], metal: Metal) -> Series:
    """Hull and voltages of states whose energies are known."""
    calibration = calibration_of(asked.potential)
    steps = steps_on_hull(states, metal, calibration)
    whole = step_between(states[0], states[-1], metal, calibration)
    if whole.calibrated is not None:  # as the plateaus have it
        share = [(step.high - step.low) / (whole.high - whole.low) for step in steps]
        parts = [step.calibrated or Calibrated(np.nan, np.nan) for step in steps]
        value = sum(s * part.value for s, part in zip(share, parts, strict=True))
        whole = replace(whole, calibrated=Calibrated(float(value), whole.calibrated.error))
    notes = _doubts(asked, states, whole, (host, calibration))
    return Series(host, asked, states, metal, formation_energies(states, host.sites), steps, whole, notes)


def metal_of(ion: str, asked: Asked, calculator: Any) -> Metal:
    """The ion's metal, bcc, relaxed."""
    from ase.build import bulk

    crystal = phase(ion) if ion in ("Li", "Na") else Structure(bulk(ion, "bcc", cubic=True))
    settings = Settings(asked.potential, 0.01, 100, cell=True)
    energy = relax(crystal, settings, calculator=calculator)[1]["energy_eV"]
    return Metal(ion, float(energy) / len(crystal))


def _state(host: Host, full: Structure, x: float, how: tuple[Asked, Any, Store | None], progress: Progress) -> State:
    asked, calculator, store = how
    found = store.get(x, host) if store is not None else None
    if found is None:
        found = lowest(host, x, list(candidates(host, full, x, asked)), asked, calculator, progress)
        if store is not None:
            store.put(x, found)
    return found


def _charges(
    state: State, x: float, charges: ElementCharges | None, store: Store | None
) -> dict[str, dict[str, float]]:
    if charges is None:
        return {}
    name = "charges-" + "".join(c if c.isalnum() else "-" for c in charges.name)
    kept = store.get_more(x, name) if store is not None else None
    if kept is None:
        kept = charges(state.structure)
        if store is not None:
            store.put_more(x, name, kept)
    return dict(kept)


def _doubts(asked: Asked, states: Sequence[State], whole: Step, known: tuple[Host, Calibration | None]) -> list[str]:
    """What a reader must know before using the numbers."""
    host, calibration = known
    notes = list(lost_moments(host.crystal, str(host.crystal.info.get("name", host.crystal.formula))))
    if calibration is None:
        notes.append(f"potential {asked.potential} is not calibrated: raw voltages only, whose error is not known")
    elif whole.calibrated is None:
        metals = f"{', '.join(whole.couples) or 'its metals'} with {host.ion}"
        notes.append(
            f"no calibration for {metals}: raw voltages only; over the electrodes that are known raw ones are off by "
            f"{calibration.raw_error:.1f} V (root mean square)"
        )
    if other_axes(host.crystal):
        notes.append(
            "the axes given are not those of the slabs: lengths are those of this cell, no other stacking (O1) was "
            "tried; start from the hexagonal cell for both"
        )
    if (is_layered(host.crystal) or other_axes(host.crystal)) and min(s.x for s in states) < EMPTY:
        notes.append(
            f"layers below x = {EMPTY:g}: {asked.potential} knows no van der Waals attraction, c comes out too long "
            "(of CoO2 by 18 %)"
        )
    open_ends = [f"{s.x:g}" for s in states for row in s.tried if row.get("converged") is False]
    if open_ends:
        notes.append(
            f"not at rest after {asked.steps} steps at x = {', '.join(dict.fromkeys(open_ends))}; more --steps"
        )
    lost = [f"{s.x:g}" for s in states for row in s.tried if "lost" in row]
    if lost:
        notes.append(f"candidates that the potential lost were left out at x = {', '.join(dict.fromkeys(lost))}")
    return notes
