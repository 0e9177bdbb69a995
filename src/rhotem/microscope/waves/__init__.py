"""One propagation, any lens, whole patterns: the scattering matrix S itself at some exits.

A response (`rhotem.microscope.response`) keeps what detectors with known edges see; a convergent-beam pattern at one
position of the probe needs the waves:

    I(κ+G; r0) = |Σ_H a(κ+H) exp(−2πi (κ+H)·r0) S_κ(G, H)|² + Σ_H f (1 − f) |S_κ(G, H)|² / Σ f

S knows neither focus nor aberrations, aperture, position, source, focal spread or detector (Ophus, Adv. Struct. Chem.
Imaging 3, 13, 2017, without its interpolation).
"""

from rhotem.microscope.waves.held import Waves
from rhotem.microscope.waves.make import waves
from rhotem.microscope.waves.opened import open_waves
from rhotem.microscope.waves.plan import WavesPlan

__all__ = ["Waves", "WavesPlan", "open_waves", "waves"]
