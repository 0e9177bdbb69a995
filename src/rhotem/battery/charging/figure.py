"""Picture of a series: hull, voltages, lattice, charges."""

from pathlib import Path
from typing import Any

import numpy as np

from rhotem.battery.charging.make import Series
from rhotem.core.figures import blank_figure


def draw(series: Series, path: Path) -> None:
    """Formation energies with their hull, voltage raw and calibrated with its error, lattice, charges of elements."""
    charged = any(state.charges for state in series.states)
    figure = blank_figure(3.6 * (4 if charged else 3), 3.4, dpi=150)
    places = figure.subplots(1, 4 if charged else 3)
    _hull(places[0], series)
    _voltage(places[1], series)
    _lattice(places[2], series)
    if charged:
        _charges(places[3], series)
    for axes in places:
        axes.set_xlabel(f"x, share of {series.host.ion} in", fontsize=8)
        axes.set_xlim(1.03, -0.03)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    name = series.host.crystal.info.get("name", series.host.crystal.formula)
    figure.suptitle(f"{name}, relaxed with {series.asked.potential}; model output", fontsize=9)
    figure.savefig(path)


def _hull(axes: Any, series: Series) -> None:
    x = np.array([state.x for state in series.states])
    stable = np.array([series.on_hull(state) for state in series.states])
    millis = 1e3 * series.formation
    axes.plot(x[stable], millis[stable], "-o", color="tab:blue", ms=4, lw=1.2, label="on the hull")
    if not stable.all():
        axes.plot(x[~stable], millis[~stable], "x", color="tab:red", ms=5, label="above it")
    axes.legend(fontsize=7)
    axes.set_title(f"formation energy (meV per {series.host.ion} site)", fontsize=8)


def _voltage(axes: Any, series: Series) -> None:
    for step in series.steps:
        x = [step.high, step.low]
        axes.plot(x, [step.raw] * 2, color="0.55", lw=1.5)
        if step.calibrated is not None:
            value, error = step.calibrated.value, step.calibrated.error
            axes.fill_between(x, value - error, value + error, color="tab:blue", alpha=0.2, lw=0)
            axes.plot(x, [value] * 2, color="tab:blue", lw=1.8)
    for one, two in zip(series.steps, series.steps[1:], strict=False):
        axes.plot([one.low] * 2, [one.raw, two.raw], color="0.55", lw=0.8)
        if one.calibrated is not None and two.calibrated is not None:
            axes.plot([one.low] * 2, [one.calibrated.value, two.calibrated.value], color="tab:blue", lw=0.8)
    axes.plot([], [], color="0.55", label="raw")
    if series.mean.calibrated is not None:
        axes.plot([], [], color="tab:blue", label="calibrated, ± error")
    axes.legend(fontsize=7)
    axes.set_title(f"voltage against {series.host.ion} (V), on the hull", fontsize=8)


def _lattice(axes: Any, series: Series) -> None:
    x = [state.x for state in series.states]
    first = series.states[0].lattice
    marks = (("a_A", "a"), ("b_A", "b"), ("c_A", "c"), ("volume_A3", "volume"))
    for key, label in marks:
        if key == "b_A" and all(abs(s.lattice["a_A"] - s.lattice["b_A"]) < 1e-3 for s in series.states):
            continue
        axes.plot(x, [100 * (s.lattice[key] / first[key] - 1) for s in series.states], "-o", ms=3, lw=1, label=label)
    for state in series.states:
        if state.stacking != "as given":
            axes.annotate(state.stacking, (state.x, 0.0), fontsize=7, ha="center")
    axes.legend(fontsize=7)
    axes.set_title("lattice, change from x = 1 (%)", fontsize=8)


def _charges(axes: Any, series: Series) -> None:
    elements = list(dict.fromkeys(e for state in series.states for e in state.charges))
    for element in elements:
        kind = (
            "bader"
            if all("bader" in s.charges[element] for s in series.states if element in s.charges)
            else "hirshfeld"
        )
        shown = [
            (s.x, s.charges[element][kind], s.charges[element][f"{kind}_spread"])
            for s in series.states
            if element in s.charges
        ]
        x, mean, spread = np.array(shown).T
        axes.errorbar(x, mean, spread, fmt="-o", ms=3, lw=1, capsize=2, label=f"{element} ({kind.capitalize()})")
    axes.legend(fontsize=7)
    axes.set_title("charges (e), bars: spread over atoms", fontsize=8)
