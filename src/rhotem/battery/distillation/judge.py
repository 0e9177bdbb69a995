"""How good a distilled potential is: errors on frames held out, and how far its committee disagrees where it knows."""

from collections.abc import Sequence
from typing import Any

import ase
import numpy as np
import numpy.typing as npt

from rhotem.battery.nep import NepCalculator

#: A run is stopped where the committee disagrees by so many times the most it does on the frames.
SAFETY = 1.2


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


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(values, dtype=float)))))
