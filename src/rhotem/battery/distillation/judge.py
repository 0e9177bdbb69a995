"""How good a distilled potential is: errors on frames held out, and how far its committee disagrees where it knows."""

from collections.abc import Sequence
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.battery.nep import NepCalculator

#: A run that knows where it is may be stopped once in so many looks: once in a nanosecond of looks every 100 fs.
LOOKS = 1e4
#: Quantiles of frames' largest disagreements that tell the law of all. What lies above the higher one counts no
#: farther: frames at which a run was lost, or of ions that were put where they do not belong.
KNOWN = (0.5, 0.9)


def errors(calculator: Any, frames: Sequence[ase.Atoms]) -> dict[str, Any]:
    """Root mean square errors of a potential against the labels of frames.

    Returns
    -------
    dict
        ``energy_meV_per_atom``, ``force_eV_per_A`` (of a component), the same by element, ``stress_GPa``, the root mean
        square force itself, and the mean error of the energy, which matters to nothing but formation energies.
    """
    from ase.units import GPa

    energy, stress, force, true, symbols = [], [], [], [], []
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        energy.append((atoms.get_potential_energy() - frame.get_potential_energy()) / len(frame))
        force.append(atoms.get_forces() - frame.get_forces())
        stress.append(atoms.get_stress() - frame.get_stress())
        true.append(frame.get_forces())
        symbols += frame.get_chemical_symbols()
    wrong, which = np.concatenate(force), np.array(symbols)
    return {
        "frames": len(frames),
        "energy_meV_per_atom": 1e3 * _rms(energy),
        "mean_energy_meV_per_atom": 1e3 * float(np.mean(energy)),
        "force_eV_per_A": _rms(wrong),
        "force_by_element": {str(e): _rms(wrong[which == e]) for e in np.unique(which)},
        "labels_rms_force_eV_per_A": _rms(np.concatenate(true)),
        "stress_GPa": _rms(stress) / GPa,
    }


def hop_error(calculator: Any, frames: Sequence[ase.Atoms]) -> float | None:
    """How much too high (eV) ions halfway through a hop are to a potential, against such cells with all ions at sites.

    The mean error of frames with a held ion minus that of frames of the same composition without one: what a barrier is
    wrong by, before anything relaxes. None where there are no such frames.
    """
    wrong: dict[bool, list[float]] = {True: [], False: []}
    formulas = {f.get_chemical_formula() for f in frames if f.info.get("weight", 1.0) > 1.0}
    for frame in frames:
        if frame.get_chemical_formula() in formulas:
            error = calculator.get_potential_energy(frame.copy()) - frame.get_potential_energy()
            wrong[frame.info.get("weight", 1.0) > 1.0].append(error)
    return float(np.mean(wrong[True]) - np.mean(wrong[False])) if all(wrong.values()) else None


def disagreements(calculator: NepCalculator, frames: Sequence[ase.Atoms]) -> npt.NDArray[np.float64]:
    """Of every frame, the largest disagreement of the committee on an atom's force, eV/Å."""
    return np.array([calculator.disagreement(frame.copy()).max() for frame in frames])


def limit_of(largest: npt.NDArray[np.float64]) -> float:
    """What the committee's largest disagreement on a frame exceeds once in `LOOKS` frames like these, eV/Å.

    Largest values of many atoms follow the law of extremes, exp(-exp(-(x - mu) / beta)) (E. J. Gumbel, Statistics of
    Extremes, 1958), here that through the quantiles `KNOWN`. The largest value itself says little: one frame at which a
    run was lost would set it.
    """
    quantiles = np.array([*KNOWN, 1.0 - 1.0 / LOOKS])
    low, high, rare = -np.log(-np.log(quantiles))
    middle, upper = np.quantile(largest, KNOWN)
    return float(middle + (rare - low) / (high - low) * (upper - middle))


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, dtype=float)))))
