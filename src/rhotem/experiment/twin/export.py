"""A twin for other programs: rows of a table, and part of a BPX file for cell models."""

from typing import Any

import numpy as np

from rhotem.battery.bpx import bpx_part
from rhotem.battery.builders.delithiate import MOBILE
from rhotem.core import InputError
from rhotem.experiment.twin.store import Twin

#: Least number of states of which x and voltage are known.
LEAST = 2


def rows(twin: Twin) -> list[dict[str, Any]]:
    """One row an entry, by time: states that hold, numbers given, fitted parameters with errors, units in the names."""
    found, states = [], twin.states()
    fitted = {_named(name, told["unit"]) for entry in twin.entries for name, told in entry.parameters.items()}
    for entry in twin.by_time():
        row: dict[str, Any] = {"entry": entry.number, "time": entry.time.isoformat()}
        for name, one in (states[entry.number] | entry.numbers).items():
            column = _named(name, one.unit)
            row[f"{column} given" if column in fitted else column] = one.value
        row["file"] = ", ".join(one["source"]["path"] for one in entry.measurements)
        for name, told in entry.parameters.items():
            row[_named(name, told["unit"])] = told["value"]
            row[_named(f"{name} error", told["unit"])] = told["error"]
        row["note"] = entry.said.get("note", "")
        row["refused"] = entry.said.get("refused", {}).get("reason", entry.said.get("not_fitted", ""))
        found.append(row)
    return found


def bpx(twin: Twin) -> dict[str, Any]:
    """Part of a BPX file: open-circuit potential of entries that give x and voltage, and what was given by cycle.

    Raises
    ------
    InputError
        If fewer than `LEAST` values of x have a voltage.
    """
    from rhotem.analysis.run import structure

    curve: dict[float, float] = {}
    for entry in twin.by_time():
        if {"x", "voltage"} <= set(entry.numbers):
            curve[entry.numbers["x"].value] = entry.numbers["voltage"].value  # the last one of the same x
    if len(curve) < LEAST:
        raise InputError(
            f"{twin.folder}: BPX needs x and voltage together in {LEAST} entries of different x, it has {len(curve)}; "
            f"rhotem twin add {twin.folder} --number x=0.9 --number voltage=3.92V"
        )
    x = np.array(sorted(curve))
    crystal = structure(twin.structure())
    symbols = crystal.atoms.get_chemical_symbols()
    ions = next((n for n in (symbols.count(e) for e in MOBILE) if n), 0)
    said = (
        f"Measured, as the twin {twin.name} has it: the last voltage of every x; it holds if these were at rest. "
        "Particle, contact and transport parameters are missing."
    )
    if ions:
        said += " Concentration: that of the structure's ions, taken as x = 1."
    return bpx_part(
        f"{twin.name}: open-circuit potential",
        said,
        (x, np.array([curve[one] for one in x])),
        ions / crystal.volume if ions else None,
        _by_cycle(twin),
    )


def _by_cycle(twin: Twin) -> dict[str, Any]:
    """Tables of everything given against the number of cycles."""
    tables: dict[str, dict[float, float]] = {}
    states = twin.states()
    for entry in twin.by_time():
        cycle = states[entry.number].get("cycle")
        if cycle is None:
            continue
        for name, one in entry.numbers.items():
            if name not in ("cycle", "x", "voltage"):
                tables.setdefault(f"{_named(name, one.unit)} against cycles", {})[cycle.value] = one.value
    return {
        name: {"x": sorted(table), "y": [table[c] for c in sorted(table)]}
        for name, table in tables.items()
        if len(table) > 1
    }


def _named(name: str, unit: str) -> str:
    return f"{name} [{unit}]" if unit else name
