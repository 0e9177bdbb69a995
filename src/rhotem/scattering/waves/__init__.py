"""One propagation, any lens, whole patterns: the scattering matrix S itself at some exits.

A response (`rhotem.scattering.response`) keeps what detectors with known edges see; a convergent-beam pattern at one
position of the probe needs the waves:

    I(κ+G; r0) = |Σ_H a(κ+H) exp(−2πi (κ+H)·r0) S_κ(G, H)|² + Σ_H f (1 − f) |S_κ(G, H)|² / Σ f

S knows neither focus nor aberrations, aperture, position, source, focal spread or detector (Ophus, Adv. Struct. Chem.
Imaging 3, 13, 2017, without its interpolation).
"""

from rhotem.scattering.waves.held import Waves
from rhotem.scattering.waves.make import waves
from rhotem.scattering.waves.opened import open_waves
from rhotem.scattering.waves.plan import WavesPlan

__all__ = ["Waves", "WavesPlan", "open_waves", "waves"]
