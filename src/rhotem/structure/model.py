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
    displacements : (N, 3, 3) array or None
        Mean square displacements ⟨u_i u_j⟩ in Å², Cartesian, that the structure's source states; NaN for an atom of
        which it says nothing. ``info["displacements_kelvin"]`` is their temperature where that is stated, too.
    """

    atoms: ase.Atoms
    charge: float = 0.0
    moments: npt.NDArray[np.float64] | None = None
    info: dict = field(default_factory=dict)
    displacements: npt.NDArray[np.float64] | None = None

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
    def heights(self) -> npt.NDArray[np.float64]:
        """Heights of the cell in Å, shape (3,): its length along the normal of the other two vectors."""
        return 1.0 / np.linalg.norm(np.linalg.inv(self.cell), axis=0)

    @property
    def formula(self) -> str:
        """Reduced chemical formula as battery chemists write it: LiCoO2, Na3V2P3O12."""
        counts = self.atoms.symbols.formula.reduce()[0].count()
        return "".join(f"{e}{n if n > 1 else ''}" for e, n in sorted(counts.items(), key=lambda item: _place(item[0])))

    def __len__(self) -> int:
        return len(self.atoms)


def _place(element: str) -> tuple[int, str]:
    """Order in a formula: alkali metals, other metals, polyanion centres, anions, hydrogen last."""
    groups = (("Li", "Na", "K", "Rb", "Cs"), ("B", "C", "Si", "P", "As", "S"), ("N", "O", "F", "Cl", "Br", "I"), ("H",))
    return (next((2 * i for i, group in enumerate(groups) if element in group), 1), element)
