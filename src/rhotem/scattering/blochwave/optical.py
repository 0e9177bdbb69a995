r"""The optical potential of a crystal: U_g + iU'_g of its density, its atoms' motion and the energy of the beam.

    U_g = γ (2 m₀ e / h²) V_g exp(−M) = σ V_g exp(−M) / πλ        in 1/Å²,

V_g as in docs/conventions.md (positive where electrons are attracted, exp(−2πi g·r) in the forward transform), γ the
relativistic mass ratio, exp(−M) the Debye–Waller factor of every atom. U'_g > 0 takes electrons out of the beams.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.core.units import interaction_constant, wavelength
from rhotem.density.field import DensityField
from rhotem.density.fourier import phase_sum
from rhotem.potential.crystal import g_vectors, structure_factors
from rhotem.potential.parametrizations import FormFactor
from rhotem.scattering.blochwave.absorption import thermal_absorption
from rhotem.structure.model import Structure

#: U_g + iU'_g in 1/Å² of Miller indices (M, 3).
Coefficients = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.complex128]]


@dataclass(frozen=True, eq=False)
class OpticalPotential:
    """U_g + iU'_g of a crystal; call it with Miller indices (M, 3) of the crystal's cell.

    Parameters
    ----------
    crystal : Structure
    energy : float
        Of the beam, in eV.
    field : DensityField or None
        Deformation density of the crystal; None for free atoms.
    displacements : (N,) or (N, 3, 3) array or None
        ⟨u²⟩ in Å² along one axis, or tensors, of every atom. None: atoms at rest, no Debye–Waller factor.
    absorption : "thermal" or float
        "thermal": thermal diffuse scattering of the atoms that move, by the mean over directions. A number: U'_g is
        this part of U_g (0: none).
    parametrization : "pbe", "lobato", "kirkland" or a form factor
        Free atoms.

    Raises
    ------
    InputError
        If the absorption is neither, or the displacements are not those of the atoms.
    """

    crystal: Structure
    energy: float
    field: DensityField | None = None
    displacements: npt.NDArray[np.float64] | None = None
    absorption: float | Literal["thermal"] = "thermal"
    parametrization: str | FormFactor = "pbe"

    def __post_init__(self) -> None:
        if isinstance(self.absorption, str) and self.absorption != "thermal":
            raise InputError(f"absorption {self.absorption!r}: expected 'thermal' or U'/U as a number, such as 0.02")
        if not isinstance(self.absorption, str) and not 0 <= self.absorption < 1:
            raise InputError(f"absorption {self.absorption:g}: expected U'/U from 0 to 1, such as 0.02")

    @property
    def absorbs(self) -> bool:
        """Whether electrons are lost."""
        if isinstance(self.absorption, str):
            return self.displacements is not None and bool(np.any(self.displacements))
        return self.absorption > 0

    def elastic(self, h: npt.ArrayLike) -> npt.NDArray[np.complex128]:
        """U_g in 1/Å², Debye–Waller factors included."""
        volts = structure_factors(self.field, self.crystal, h, self.parametrization, self.displacements)
        return volts * interaction_constant(self.energy) / (np.pi * wavelength(self.energy))

    def absorptive(self, h: npt.ArrayLike) -> npt.NDArray[np.complex128]:
        """U'_g in 1/Å²."""
        if not isinstance(self.absorption, str):
            return self.absorption * self.elastic(h)
        indices = np.asarray(h)
        if not self.absorbs or self.displacements is None:
            return np.zeros(len(indices), dtype=complex)
        msd = self.displacements
        mean = msd if msd.ndim == 1 else np.trace(msd, axis1=1, axis2=2) / 3.0
        kinds, which = np.unique(
            np.stack([self.crystal.numbers.astype(float), mean]).T.round(12), axis=0, return_inverse=True
        )
        g = np.linalg.norm(g_vectors(self.crystal, indices), axis=1)
        each = thermal_absorption(kinds[:, 0], kinds[:, 1], g, self.energy, self.parametrization)
        places = self.crystal.atoms.get_scaled_positions(wrap=False)
        total = sum(each[k] * phase_sum(indices, places[which.ravel() == k]) for k in range(len(kinds)))
        return np.asarray(total / self.crystal.volume, dtype=complex)

    def __call__(self, h: npt.NDArray[np.int64]) -> npt.NDArray[np.complex128]:
        """U_g + iU'_g in 1/Å²."""
        return self.elastic(h) + 1j * self.absorptive(h)
