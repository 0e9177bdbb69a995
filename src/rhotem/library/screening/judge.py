"""What is said of one candidate: relaxed lattice, mean voltage, volume change, charges of elements."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.battery.charging.asked import Asked, mobile_ion, states_of_charge
from rhotem.battery.charging.charges import ElementCharges
from rhotem.battery.charging.make import charge_series
from rhotem.battery.charging.states import State
from rhotem.battery.relax import relax
from rhotem.core import InputError, Progress, RhoTEMError, silent
from rhotem.core.output import output_file
from rhotem.library.screening.candidates import ANION, ION, METAL, Candidate, capacity_of, density_of, kind_of
from rhotem.structure.model import Structure
from rhotem.structure.read import read_structure
from rhotem.structure.write import write_structure

#: Name of the relaxed structure in the folder of a candidate.
RELAXED = "relaxed.extxyz"
#: Å that a kept structure may be off: what text does to numbers, not what a relaxation does.
SAME = 1e-4


@dataclass(frozen=True)
class Criteria:
    """How candidates are judged.

    Parameters
    ----------
    charging : Asked
        ``x`` None: the crystal full, and as empty as its metals allow.
    density : str or None
        Source of the charges; None: no charges.
    """

    charging: Asked = field(default_factory=lambda: Asked(orderings=1))
    density: str | None = "model"


@dataclass(frozen=True, eq=False)
class Judged:
    """A candidate and its row of the table; ``structure`` None where it failed, with the reason in ``failed``."""

    candidate: Candidate
    row: dict[str, Any]
    structure: Structure | None = None
    notes: Sequence[str] = ()
    failed: str = ""


def judge(candidate: Candidate, how: Criteria, folder: Path, progress: Progress = silent) -> Judged:
    """Relax a candidate, full and charged; what is done already is kept in ``folder``.

    A crystal without a mobile ion is only relaxed. What cannot be judged is said in ``failed``: other candidates go on.
    """
    own: dict[str, Any] = {"name": candidate.name, "formula": candidate.structure.formula}
    if candidate.prototype:
        own["prototype"] = candidate.prototype
    try:
        row, structure, notes = _judged(candidate, how, folder, progress)
    except RhoTEMError as error:
        return Judged(candidate, own, failed=str(error))
    _keep(structure, folder / RELAXED)
    return Judged(candidate, {**own, **row}, structure, notes)


def _keep(structure: Structure, path: Path) -> None:
    """Write what was relaxed, unless it is there: another potential or file of the same name gives another one."""
    if path.exists():
        old: Structure | None
        try:
            old = read_structure(path)
        except RhoTEMError:
            old = None
        if old is not None and len(old) == len(structure) and np.array_equal(old.numbers, structure.numbers):
            apart = old.positions - structure.positions
            apart -= np.rint(apart @ np.linalg.inv(structure.cell)) @ structure.cell
            if max(np.abs(apart).max(), np.abs(old.cell - structure.cell).max()) < SAME:
                return
    with output_file(path) as target:
        write_structure(structure, target)


def _judged(
    candidate: Candidate, how: Criteria, folder: Path, progress: Progress
) -> tuple[dict[str, Any], Structure, Sequence[str]]:
    crystal = candidate.structure
    try:
        ion = mobile_ion(crystal, how.charging.ion)
        x = how.charging.x
        if x is None:
            states = states_of_charge(crystal, ion, None)
            x = (states[0], states[-1])
    except InputError as error:
        if how.charging.ion:
            raise
        structure, record = relax(crystal, how.charging.relaxation(), progress)
        row = _lattice(structure, float(structure.atoms.symbols.formula.reduce()[1]))
        charges = ElementCharges(how.density)(structure) if how.density else {}
        rest = [] if record["converged"] else ["not at rest"]
        return {**row, **_charges(charges, "")}, structure, [f"no voltage: {error}", *rest]
    series = charge_series(crystal, replace(how.charging, x=x), folder, density=how.density, progress=progress)
    full, empty = series.states[0], series.states[-1]
    mean, volume = series.mean, full.lattice["volume_A3"]
    row = {
        **_lattice(full.structure, series.host.formula_units, full),
        **({"x_high": round(full.x, 5)} if full.x < 1 else {}),
        "x_low": round(empty.x, 5),
        "voltage_V": mean.calibrated.value if mean.calibrated else mean.raw,
        "voltage_error_V": mean.calibrated.error if mean.calibrated else None,
        "raw_voltage_V": mean.raw,
        "capacity_mAh_per_g": capacity_of(crystal, ion, full.x - empty.x),  # of all its ions, also from x < 1
        "volume_change_percent": 100 * (empty.lattice["volume_A3"] / volume - 1),
        **_charges(full.charges, ""),
        **_changes(full, empty),
    }
    row["energy_Wh_per_kg"] = row["voltage_V"] * row["capacity_mAh_per_g"]
    return row, full.structure, list(series.notes)


def _lattice(structure: Structure, units: float, state: State | None = None) -> dict[str, Any]:
    lengths = np.linalg.norm(structure.cell, axis=1)
    sides = {f"{name}_A": float(length) for name, length in zip("abc", lengths, strict=True)}
    if state is not None:  # of the crystal's own axes
        sides = {name: state.lattice[name] for name in sides}
    volume = structure.volume / units if state is None else state.lattice["volume_A3"]
    return {**sides, "volume_A3": volume, "density_g_per_cm3": density_of(structure)}


def _charges(charges: dict[str, dict[str, float]], what: str) -> dict[str, float]:
    """Hirshfeld charges in e by kind of element, means over their atoms."""
    made = {}
    for kind, name in ((ION, "ion"), (METAL, "metal"), (ANION, "anion")):
        rows = [(row["atoms"], row["hirshfeld"]) for element, row in charges.items() if kind_of(element) == kind]
        if rows:
            made[f"{name}_charge{what}_e"] = float(sum(n * q for n, q in rows) / sum(n for n, _ in rows))
    return made


def _changes(full: State, empty: State) -> dict[str, float]:
    before, after = _charges(full.charges, "_change"), _charges(empty.charges, "_change")
    return {name: after[name] - before[name] for name in after if name in before}
