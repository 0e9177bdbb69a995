"""SevenNet-0 as an ASE calculator: relaxation, dynamics, whatever ASE does with energies and forces."""

from typing import Any

import ase
import numpy as np
import numpy.typing as npt
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from rhotem.learned.encoders.interaction import CUTOFF
from rhotem.learned.energy.potential import sevennet_0


class SevenNet0Calculator(Calculator):
    """Energy (eV), forces (eV/Å), stress (eV/Å³), shares of atoms in the energy, by SevenNet-0 without PyTorch.

    Periodic or not, direction by direction, as the atoms say; the stress is that of cells periodic in all three.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012  # a list in ASE

    def __init__(self) -> None:
        super().__init__()
        self.potential = sevennet_0()
        #: elements it knows, as the calculator of ``sevenn`` says it
        self.type_map = {z: n for n, z in enumerate(self.potential.elements)}

    def calculate(
        self, atoms: ase.Atoms | None = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        """Evaluate; everything is made in one pass.

        Raises
        ------
        InputError
            If there are no atoms, an element is unknown, or two atoms are closer than 0.5 Å.
        """
        super().calculate(atoms, properties, system_changes)
        found = self.potential.evaluate(self.atoms.numbers, self.atoms.positions, periodic_cell(self.atoms))
        self.results = {
            "energy": found.energy,
            "free_energy": found.energy,
            "energies": found.by_atom,
            "forces": found.forces,
        }
        if self.atoms.pbc.all():
            self.results["stress"] = full_3x3_to_voigt_6_stress(found.stress)


def periodic_cell(atoms: ase.Atoms) -> npt.NDArray[np.float64]:
    """The cell, with room for the cutoff along directions that are not periodic."""
    if atoms.pbc.all():
        return np.array(atoms.cell.array)
    cell = np.array(atoms.cell.complete().array)
    for axis in np.flatnonzero(~atoms.pbc):
        normal = np.cross(cell[(axis + 1) % 3], cell[(axis + 2) % 3])
        normal /= np.linalg.norm(normal)
        cell[axis] = normal * (np.ptp(atoms.positions @ normal) + 2.0 * CUTOFF)
    return cell
