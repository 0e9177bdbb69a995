"""The Debye model of one atom: its mean square displacement at a temperature, from another or a Debye temperature."""

from functools import lru_cache

import numpy as np

from rhotem.core import InputError

#: Room temperature in K.
ROOM = 300.0
#: 3 ħ² / (k_B · 1 u) in Å² K.
DEBYE_FACTOR = 3 * 48.50875


def debye_displacement(mass: float, debye: float, temperature: float) -> float:
    """⟨u²⟩ along one axis in Å² of a Debye solid: mass in u, Debye and actual temperature in K.

    ``⟨u²⟩ = 3ħ²/(M k Θ) [1/4 + (T/Θ)² ∫₀^{Θ/T} x/(eˣ − 1) dx]``: B. E. Warren, X-Ray Diffraction (1969), ch. 3.
    """
    ratio = temperature / debye
    thermal = ratio**2 * _debye_integral(1.0 / ratio) if ratio > 0 else 0.0
    return float(DEBYE_FACTOR / (mass * debye) * (0.25 + thermal))


@lru_cache(maxsize=4096)
def debye_temperature(mass: float, displacement: float, temperature: float = ROOM) -> float:
    """Debye temperature in K at which an atom of ``mass`` (u) has ⟨u²⟩ = ``displacement`` (Å²) at ``temperature``.

    Raises
    ------
    InputError
        If no solid has it.
    """
    from scipy.optimize import brentq

    low, high = 10.0, 20000.0
    least, most = (debye_displacement(mass, debye, temperature) for debye in (high, low))
    if not least < displacement < most:
        raise InputError(
            f"mean square displacement {displacement} Å² at {temperature:g} K is out of range for a mass of"
            f" {mass:.2f} u: {least:.2g} to {most:.2g} Å²"
        )
    return float(brentq(lambda debye: debye_displacement(mass, debye, temperature) - displacement, low, high))


def at_temperature(mass: float, displacement: float, known: float, wanted: float, zero_point: bool = True) -> float:
    """⟨u²⟩ in Å² at ``wanted`` K of an atom (mass in u) that has ``displacement`` at ``known`` K.

    By the Debye model that agrees at ``known``; ∝ T with ``zero_point=False``: classical motion.

    Raises
    ------
    InputError
        If no solid has it, or motion at 0 K is to be continued classically.
    """
    if not zero_point:
        if known <= 0:
            raise InputError("a mean square displacement at 0 K is zero-point motion; it says nothing of classical one")
        return displacement * wanted / known
    if wanted == known:
        return displacement
    return debye_displacement(mass, debye_temperature(mass, displacement, known), wanted)


def _debye_integral(upper: float) -> float:
    """∫₀^upper x/(eˣ − 1) dx."""
    from scipy.integrate import quad

    return float(quad(lambda x: x / np.expm1(x) if x > 0 else 1.0, 0.0, min(upper, 60.0))[0])
