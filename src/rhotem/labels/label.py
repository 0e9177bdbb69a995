"""A label: a structure with its deformation density from DFT, on its whole grid or at chosen voxels of it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid
from rhotem.density.metrics import treat_near_nuclei
from rhotem.labels.splits import chemistries_of
from rhotem.labels.voxels import Selection
from rhotem.labels.waves import Waves
from rhotem.structure.model import Structure


@dataclass(frozen=True, eq=False)
class Label:
    """A structure with its deformation density on a grid.

    Parameters
    ----------
    structure : Structure
        Atoms and total charge of the cell.
    deformation : (n1, n2, n3) array
        All-electron valence density minus superposed free-atom valence densities in e/Å³, ``∫ = −charge``
        but for on-grid noise at the nuclei.
    magnetization : array of the same shape or None
        n↑ − n↓ in e/Å³ of spin-polarised cells.
    forces : (N, 3) array
        eV/Å; NaN where unknown.
    magmoms : (N,) array
        Local moments in Bohr magnetons.
    meta : dict
        Energy, settings, counts, seconds, and what the structure is (``prototype``, ``composition``, ``ordering`` …).
    voxels : Selection or None
        Only chosen voxels are kept: ``deformation`` (treated near nuclei) and ``magnetization`` are then (n,) arrays.
    full_shape : tuple of three int or None
        Grid of a label with chosen voxels.
    waves : Waves or None
        Fourier coefficients of a label with chosen voxels, where they are kept.
    name : str
        Identifier: the file's name, or that of the member of a shard.
    """

    structure: Structure
    deformation: npt.NDArray
    magnetization: npt.NDArray | None
    forces: npt.NDArray
    magmoms: npt.NDArray
    meta: dict[str, Any] = field(default_factory=dict)
    voxels: Selection | None = None
    full_shape: tuple[int, int, int] | None = None
    waves: Waves | None = None
    name: str = ""

    @classmethod
    def of_field(cls, structure: Structure, values: npt.NDArray, family: str, name: str = "") -> "Label":
        """A label of a deformation density (e/Å³ on its grid) that needs no treatment near nuclei."""
        n = len(structure)
        meta = {"prototype": family, "treatment": {}}
        return cls(structure, values, None, np.full((n, 3), np.nan), np.zeros(n), meta, name=name)

    @property
    def grid(self) -> PeriodicGrid:
        """Grid of the calculation."""
        return PeriodicGrid(self.structure.cell, self.full_shape or self.deformation.shape)

    @property
    def complete(self) -> bool:
        """Whether the whole grid is kept."""
        return self.voxels is None

    # -- what it is of --------------------------------------------------------------------------------------------

    @property
    def family(self) -> str:
        """Prototype; a structure with vacancies has that of the perfect crystal."""
        return str(self.meta.get("prototype", self.meta.get("family", "unknown"))).removesuffix("-vac")

    @property
    def formula(self) -> str:
        """Reduced composition."""
        return self.structure.atoms.get_chemical_formula(mode="hill", empirical=True)

    @property
    def parent(self) -> str:
        """Prototype and composition; distorted copies and those with vacancies elsewhere share it."""
        return f"{self.family} {self.formula}"

    @property
    def chemistries(self) -> tuple[str, ...]:
        """Those of `rhotem.labels.splits` it belongs to."""
        return tuple(
            chemistries_of({**self.meta, "prototype": self.family}, self.structure.atoms.get_chemical_symbols())
        )

    @property
    def suspect(self) -> bool:
        """Whether its spin state is not to be trusted: neither trained nor tested on."""
        return bool(self.meta.get("suspect_spin", False))

    @property
    def moment(self) -> float:
        """Total moment of the cell in Bohr magnetons."""
        if self.magnetization is None:
            return 0.0
        if "magmom" in self.meta or not self.complete:
            return float(self.meta.get("magmom", 0.0))
        return self.grid.integrate(self.magnetization.astype(float))

    # -- the density ----------------------------------------------------------------------------------------------

    @cached_property
    def treated(self) -> npt.NDArray[np.float64]:
        """Δn in e/Å³ as training, metrics and potentials use it, on the grid or (n,) at the chosen voxels."""
        if self.voxels is not None or "treatment" in self.meta:
            return self.deformation.astype(float)
        return treat_near_nuclei(self.deformation, self.structure, self.grid)[0]

    @cached_property
    def treated_magnetization(self) -> npt.NDArray[np.float64]:
        """n↑ − n↓ in µB/Å³, filled near nuclei as Δn is so that it integrates to the cell's moment; as `treated`.

        Raises
        ------
        InputError
            If the label has no magnetisation.
        """
        from dataclasses import replace

        if self.magnetization is None:
            raise InputError(f"label {self.name}: has no magnetisation; take a spin-polarised one")
        values = self.magnetization.astype(float)
        if self.voxels is not None:
            return values
        return treat_near_nuclei(values, replace(self.structure, charge=-self.moment), self.grid)[0]

    @property
    def absolute_mean(self) -> float:
        """Mean |Δn| over the cell in e/Å³."""
        if self.voxels is None:
            return float(np.abs(self.treated).mean())
        known = self.voxels.absolute_mean
        return self.voxels.mean(np.abs(self.treated), self.grid.size) if known is None else known

    def evenly(self, count: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """``count`` voxels drawn evenly from the cell, with repetition: flat indices, and Δn there in e/Å³."""
        if self.voxels is None:
            index = rng.integers(0, self.grid.size, count)
            return index, self.treated.ravel()[index]
        sums = self.voxels.weight.cumsum(dtype=np.float64)
        rows = np.minimum(np.searchsorted(sums / sums[-1], rng.random(count)), len(sums) - 1)
        return self.voxels.index[rows].astype(np.int64), self.treated[rows]

    @property
    def has_coefficients(self) -> bool:
        """Whether `coefficients` knows those that the potential error compares."""
        return self.voxels is None or self.waves is not None

    def coefficients(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
        """Fourier coefficients (M,) of Δn in e/Å³ at Miller indices (M, 3).

        Raises
        ------
        InputError
            If only chosen voxels are kept and these coefficients are not among them.
        """
        if self.voxels is None:
            return coefficients_at(self.treated, indices)
        if self.waves is None:
            raise InputError(f"label {self.name}: keeps chosen voxels and no Fourier coefficients; take a whole label")
        return self.waves.at(indices)

    def estimated_coefficients(
        self, indices: npt.NDArray[np.int64], values: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.complex128]:
        """Estimate of the coefficients (M,) of a function that is ``values`` (n,) at the chosen voxels, without bias.

        Raises
        ------
        InputError
            If the label has its whole grid: then they are known.
        """
        if self.voxels is None:
            raise InputError(f"label {self.name}: has its whole grid; take its coefficients")
        standing = np.zeros(self.grid.size)
        standing[self.voxels.index] = self.voxels.weight * values
        return coefficients_at(standing.reshape(self.grid.shape), indices)


def coefficients_at(values: npt.NDArray[np.float64], indices: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
    """Fourier coefficients (M,) of values on a grid at Miller indices (M, 3)."""
    rows = indices.T % np.array(values.shape)[:, None]
    return np.fft.fftn(values)[tuple(rows)] / values.size
