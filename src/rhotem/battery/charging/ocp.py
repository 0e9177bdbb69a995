"""The open-circuit function of a series, as a table and as a fragment of a BPX file for cell models (PyBaMM)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.bpx import bpx_part
from rhotem.battery.charging.make import Series
from rhotem.core.provenance import versions

Floats = npt.NDArray[np.float64]

#: Width in x over which one plateau goes over to the next.
RAMP = 0.02


def open_circuit(series: Series, calibrated: bool = True) -> tuple[Floats, Floats]:
    """Open-circuit voltage in V as a piecewise linear function of x, x rising: plateaus of the hull, ramps between.

    Temperature, and the rise at the ends of x that mixing entropy gives, are left out. Raw where not calibrated.
    """
    steps = list(series.steps)[::-1]
    volts = [step.calibrated.value if calibrated and step.calibrated else step.raw for step in steps]
    x, y = [steps[0].low], [volts[0]]
    for left, right, one, two in zip(steps, steps[1:], volts, volts[1:], strict=False):
        half = 0.5 * min(RAMP, left.high - left.low, right.high - right.low)
        x += [left.high - half, left.high + half]
        y += [one, two]
    return np.array([*x, steps[-1].high]), np.array([*y, volts[-1]])


def bpx_fragment(series: Series) -> dict[str, Any]:
    """What a series knows of an electrode, under the names of BPX: the rest of a file is the user's to add."""
    said = "calibrated" if series.mean.calibrated else "raw, not calibrated"
    return bpx_part(
        f"{series.host.crystal.formula}: open-circuit potential against {series.host.ion}",
        f"Computed by RhoTEM {versions()['rhotem']} from the hull of {len(series.states)} states at 0 K "
        f"({series.asked.potential}), {said}; particle, contact and transport parameters are missing. Model "
        "output, not a measurement.",
        open_circuit(series),
        series.host.sites / series.states[0].structure.volume,
    )
