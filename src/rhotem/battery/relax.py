"""Relaxation: atoms, and the cell if asked, moved downhill in the energy of a potential."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rhotem.battery.potentials import DEFAULT, check_potential, potential_calculator, unknown_elements, watch
from rhotem.core import ConvergenceError, InputError, Progress, silent
from rhotem.structure.model import Structure

#: Å that an atom may move in one step: overlaps of built boundaries must not throw atoms out.
LONGEST_STEP = 0.1
#: eV/Å: no force of a sound structure is larger; a potential far outside of what it knows gives such.
RUNAWAY = 1e4


@dataclass(frozen=True)
class Settings:
    """How to relax.

    Parameters
    ----------
    potential : str
        A name of `rhotem.battery.potentials.potential_names`, or the file of a NEP.
    fmax : float
        Largest force at which to stop, eV/Å.
    steps : int
        Most steps.
    cell : bool
        Relax the cell, too.
    optimiser : "fire" or "lbfgs"
        FIRE (E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)) bears bad starts; L-BFGS ends sooner near a minimum.
    """

    potential: str = DEFAULT
    fmax: float = 0.05
    steps: int = 200
    cell: bool = False
    optimiser: str = "fire"

    def __post_init__(self) -> None:
        check_potential(self.potential)
        if not (np.isfinite(self.fmax) and self.fmax > 0) or self.steps < 1:
            raise InputError(
                f"relax: fmax {self.fmax}, steps {self.steps}; expected a positive force and at least 1 step"
            )
        if self.optimiser not in ("fire", "lbfgs"):
            raise InputError(f"relax: optimiser {self.optimiser!r}; choose fire or lbfgs")


def relax(
    structure: Structure, settings: Settings = Settings(), progress: Progress = silent, calculator: Any = None
) -> tuple[Structure, dict[str, Any]]:
    """The relaxed structure, and a record: energies (eV), largest force, steps, how far atoms moved.

    Ends at the step limit whether or not forces are small; the record says so.

    Raises
    ------
    MissingDependencyError
        If the potential is not installed.
    InputError
        If it does not know an element.
    ConvergenceError
        If forces are no numbers, or grow beyond any sound structure, or the potential says of the relaxed one that it
        is lost there.
    """
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE, LBFGS

    calculator = calculator or potential_calculator(settings.potential)
    odd = unknown_elements(calculator, structure.numbers)
    if odd:
        raise InputError(f"relax: potential {settings.potential} does not know {', '.join(odd)}; do without --relax")
    atoms = structure.atoms.copy()
    atoms.pbc = True
    atoms.calc = calculator
    before, cell = atoms.positions.copy(), atoms.cell.array.copy()
    target = FrechetCellFilter(atoms) if settings.cell else atoms
    kind: Any = FIRE if settings.optimiser == "fire" else LBFGS
    optimiser = kind(target, logfile=None, maxstep=LONGEST_STEP)
    energies, step = [], 0
    with warnings.catch_warnings():  # the strain of a cell near the start is a logarithm near 0
        warnings.filterwarnings("ignore", "logm result may be inaccurate")
        for step, _ in enumerate(optimiser.irun(settings.fmax, settings.steps)):
            energies.append(float(atoms.get_potential_energy()))
            force = float(np.linalg.norm(atoms.get_forces(), axis=1).max())
            if not (np.isfinite(energies[-1]) and force < RUNAWAY):
                raise ConvergenceError(
                    f"relax: a force of {force:.3g} eV/Å after {step} steps; atoms overlap or the potential is lost,"
                    " look at the structure without --relax"
                )
            progress("relaxing", step, settings.steps)
    watch(calculator, atoms)
    moved = np.linalg.norm(atoms.positions - before @ np.linalg.solve(cell, atoms.cell.array), axis=1)
    record = {
        "potential": settings.potential,
        "optimiser": settings.optimiser,
        "steps": step,
        "energy_before_eV": energies[0],
        "energy_eV": energies[-1],
        "largest_force_eV_per_A": force,
        "converged": bool(force <= settings.fmax)
        if not settings.cell
        else bool(optimiser.converged(target.get_forces().ravel())),
        "largest_move_A": float(moved.max()),
        "cell_relaxed": settings.cell,
    }
    atoms.calc = None
    end = "" if record["converged"] else f", not converged (largest force {force:.2f} eV/Å)"
    note = f"relaxed with {settings.potential}, {step} steps{end}, atoms moved by up to {moved.max():.2f} Å"
    notes = [
        n for n in (text.replace(", not relaxed", "") for text in structure.info.get("notes", [])) if n != "not relaxed"
    ]
    info = {**structure.info, "notes": [*notes, note]}
    if settings.cell:
        info.pop("parent_cell", None)
    return replace(structure, atoms=atoms, info=info), record
