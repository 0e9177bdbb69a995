"""Files of a series: tables, record, figure, open-circuit function."""

from pathlib import Path
from typing import Any

from rhotem.battery.charging.figure import draw
from rhotem.battery.charging.make import Series
from rhotem.battery.charging.ocp import bpx_fragment
from rhotem.core.output import to_json
from rhotem.core.table import write_rows

#: Names of the files.
STATES, STEPS, FIGURE, OCP = "states.csv", "voltages.csv", "charge-series.png", "ocp.bpx.json"


def record(series: Series) -> dict[str, Any]:
    """What a series found, JSON-ready."""
    return {
        "crystal": series.host.crystal.info.get("name", series.host.crystal.formula),
        "formula": series.host.crystal.formula,
        "ion": series.host.ion,
        "repeats": list(series.host.repeats),
        "settings": series.asked.record(),
        "metal_energy_eV": series.metal.energy,
        "states": [
            {**state.record(), "formation_eV_per_site": float(energy), "on_hull": series.on_hull(state)}
            for state, energy in zip(series.states, series.formation, strict=True)
        ],
        "voltages": [step.record() for step in series.steps],
        "mean_voltage": series.mean.record(),
        "notes": list(series.notes),
    }


def write_report(series: Series, folder: Path) -> None:
    """Tables of states and voltages, figure, and the fragment of a BPX file."""
    write_rows(folder / STATES, state_rows(series))
    write_rows(folder / STEPS, step_rows(series))
    draw(series, folder / FIGURE)
    (folder / OCP).write_text(to_json(bpx_fragment(series)) + "\n", "utf-8")


def state_rows(series: Series) -> list[dict[str, Any]]:
    """One row a state: x, energies, lattice, charges of every element."""
    rows = []
    for state, energy in zip(series.states, series.formation, strict=True):
        row: dict[str, Any] = {
            "x": round(state.x, 6),
            "formula": state.structure.formula,
            "stacking": state.stacking,
            "energy_eV": round(state.energy, 6),
            "formation_eV_per_site": round(float(energy), 6),
            "on_hull": series.on_hull(state),
            **{name: round(value, 5) for name, value in state.lattice.items()},
        }
        for element, charges in state.charges.items():
            row |= {f"{element}_{kind}_e": round(q, 5) for kind, q in charges.items() if kind in ("hirshfeld", "bader")}
        rows.append(row)
    return rows


def step_rows(series: Series) -> list[dict[str, Any]]:
    """One row a plateau, from x = 1 down, and the mean of all."""
    rows = []
    for name, step in [*((f"plateau {i}", s) for i, s in enumerate(series.steps, start=1)), ("mean", series.mean)]:
        told = step.record()
        told["couples"] = " + ".join(f"{share:.2f} {couple}" for couple, share in step.couples.items())
        rows.append({"name": name, **{k: round(v, 5) if isinstance(v, float) else v for k, v in told.items()}})
    return rows
