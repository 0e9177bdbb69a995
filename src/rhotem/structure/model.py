"""The object that says what is to be calculated: atoms, their total charge and moments."""

from dataclasses import dataclass, field

import ase
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms in a periodic cell with the charge and moments that geometry does not fix.

    Parameters
    ----------
    atoms : ase.Atoms
        Positions (Å), elements, cell (rows, Å). Every direction counts as periodic; a surface is a cell with vacuum.
    charge : float
        Total charge of the cell in e; +1 means one electron missing (uniform background in bulk).
    moments : (N,) array or None
        Starting magnetic moments in Bohr magnetons; None means ferromagnetic high spin.
    info : dict
        Where it came from (name, reference, file), carried into records.
    """

    atoms: ase.Atoms
    charge: float = 0.0
    moments: npt.NDArray[np.float64] | None = None
    info: dict = field(default_factory=dict)

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """Atomic numbers, shape (N,)."""
        return self.atoms.numbers

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """Cartesian positions in Å, shape (N, 3)."""
        return self.atoms.positions

    @property
    def cell(self) -> npt.NDArray[np.float64]:
        """Lattice vectors in Å, rows."""
        return self.atoms.cell.array

    @property
    def volume(self) -> float:
        """Cell volume in Å³."""
        return float(self.atoms.get_volume())

    @property
    def formula(self) -> str:
        """Reduced chemical formula, metals first: LiCoO2."""
        return str(self.atoms.symbols.formula.reduce()[0].format("metal"))

    def __len__(self) -> int:
        return len(self.atoms)
