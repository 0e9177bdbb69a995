"""Physical constants (CODATA 2018) in RhoTEM's units: Å, eV, V, e. See docs/conventions.md."""

import numpy as np

BOHR = 0.529177210903  #: Bohr radius in Å
HARTREE = 27.211386245988  #: Hartree energy in eV
EPS0 = 0.0055263493618  #: vacuum permittivity in e/(V·Å)
ELECTRON_REST_ENERGY = 510998.95  #: m_e c² in eV
HC = 12398.419843320026  #: h c in eV·Å
DALTON_PER_A3 = 1.66053907  #: u/Å³ in g/cm³

#: Mott–Bethe: f_e [Å] = MOTT_BETHE (Z − f_x) / g², g in 1/Å; equals m e² / (8 π² ε0 ħ²) · ... = 1 / (2π² a0).
MOTT_BETHE = 1.0 / (2.0 * np.pi**2 * BOHR)

#: Volume integral of the potential per unit f_e: ∫V d³r [V·Å³] = VOLT_PER_FE · f_e [Å]  (h²/2πm e = 47.878 V·Å²).
VOLT_PER_FE = HC**2 / (2.0 * np.pi * ELECTRON_REST_ENERGY)


def wavelength(energy: float) -> float:
    """Relativistic de Broglie wavelength in Å of an electron of kinetic ``energy`` in eV."""
    return HC / np.sqrt(energy * (2.0 * ELECTRON_REST_ENERGY + energy))


def interaction_constant(energy: float) -> float:
    """Interaction constant σ = 2π m e λ / h² (relativistic mass) in rad/(V·Å)."""
    mass_ratio = 1.0 + energy / ELECTRON_REST_ENERGY
    return 2.0 * np.pi * mass_ratio * ELECTRON_REST_ENERGY * wavelength(energy) / HC**2
