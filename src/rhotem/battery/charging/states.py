"""One state of charge: the candidate of lowest energy, its lattice, and what is kept of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.battery.charging.asked import Asked
from rhotem.battery.charging.candidates import OWN, Candidate, Host
from rhotem.battery.relax import relax
from rhotem.core import ConvergenceError, Progress, silent
from rhotem.structure.model import Structure


@dataclass(frozen=True, eq=False)
class State:
    """A state of charge.

    Parameters
    ----------
    x : float
        Share of the mobile ions that are in.
    ions : int
        Mobile ions in the cell.
    energy : float
        Of the cell, eV.
    stacking : str
    lattice : dict
        a, b, c (Å) and angles (degrees) of the crystal's own axes, volume (Å³) of a formula unit.
    structure : Structure
    tried : sequence of dict
        Every candidate: stacking, rank, energy, whether it converged.
    charges : dict
        Element -> charges of the learned density, filled in later.
    """

    x: float
    ions: int
    energy: float
    stacking: str
    lattice: dict[str, float]
    structure: Structure
    tried: Sequence[dict[str, Any]]
    charges: dict[str, dict[str, float]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """JSON-ready, without the structure."""
        return {
            "x": self.x,
            "ions": self.ions,
            "energy_eV": self.energy,
            "stacking": self.stacking,
            "lattice": self.lattice,
            "tried": list(self.tried),
            "charges_e": self.charges,
        }


def lowest(
    host: Host, x: float, candidates: Sequence[Candidate], asked: Asked, calculator: Any, progress: Progress = silent
) -> State:
    """The relaxed candidate of lowest energy.

    A candidate that the potential loses is left out and said so.

    Raises
    ------
    ConvergenceError
        If the potential loses all.
    """
    best: tuple[float, Structure, str] | None = None
    tried: list[dict[str, Any]] = []
    lost: Exception | None = None
    for candidate in candidates:
        row: dict[str, Any] = {"stacking": candidate.stacking, "rank": candidate.rank}
        try:
            made, told = relax(candidate.structure, asked.relaxation(), progress, calculator)
        except ConvergenceError as error:
            lost = error
            tried.append({**row, "lost": str(error)})
            continue
        tried.append({**row, "energy_eV": told["energy_eV"], "steps": told["steps"], "converged": told["converged"]})
        if best is None or told["energy_eV"] < best[0]:
            best = (told["energy_eV"], made, candidate.stacking)
    if best is None:
        raise ConvergenceError(f"x = {x:g}: no candidate could be relaxed ({lost})")
    energy, structure, name = best
    ions = host.sites - host.leaving(x)
    return State(ions / host.sites, ions, energy, name, lattice_of(host, structure, name), structure, tried)


def lattice_of(host: Host, structure: Structure, name: str) -> dict[str, float]:
    """Lengths (Å) and angles (degrees) of the crystal's axes in a relaxed supercell; volume of a formula unit.

    Of another stacking a and b are those of the plane and c is the height of as many slabs as the crystal's c holds.
    """
    from ase.geometry import cell_to_cellpar

    cell: npt.NDArray[np.float64] = structure.cell / np.array(host.repeats)[:, None]
    if name != OWN:
        normal = np.cross(cell[0], cell[1])
        cell = np.array([cell[0], cell[1], normal * (cell[2] @ normal) / (normal @ normal)])
    names = ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg")
    lengths = dict(zip(names, (float(value) for value in cell_to_cellpar(cell)), strict=True))
    return {**lengths, "volume_A3": structure.volume / host.formula_units}
