"""The open-circuit function of a series, as a table and as a fragment of a BPX file for cell models (PyBaMM)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.charging.make import Series
from rhotem.core.provenance import versions

Floats = npt.NDArray[np.float64]

#: Width in x over which one plateau goes over to the next.
RAMP = 0.02
#: Version of the BPX standard (https://github.com/FaradayInstitution/BPX), and Avogadro's number per mol.
BPX_VERSION, AVOGADRO = "1.1.0", 6.02214076e23
#: V: electrodes below this are called negative.
NEGATIVE = 2.0


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
    x, y = open_circuit(series)
    full = series.states[0]
    density = series.host.sites / (full.structure.volume * 1e-30) / AVOGADRO
    name = "Negative electrode" if series.mean.raw < NEGATIVE else "Positive electrode"
    said = "calibrated" if series.mean.calibrated else "raw, not calibrated"
    return {
        "Header": {
            "BPX": BPX_VERSION,
            "Title": f"{series.host.crystal.formula}: open-circuit potential against {series.host.ion}",
            "Description": (
                f"Computed by RhoTEM {versions()['rhotem']} from the hull of {len(series.states)} states at 0 K "
                f"({series.asked.potential}), {said}; particle, contact and transport parameters are missing. Model "
                "output, not a measurement."
            ),
            "Model": "Partial",
        },
        "Parameterisation": {
            name: {
                "Minimum stoichiometry": float(x[0]),
                "Maximum stoichiometry": float(x[-1]),
                "Maximum concentration [mol.m-3]": density,
                "OCP [V]": {"x": x.round(6).tolist(), "y": y.round(4).tolist()},
            }
        },
    }
