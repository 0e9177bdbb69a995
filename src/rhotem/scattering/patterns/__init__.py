"""One propagation, any aperture: position-averaged diffraction patterns (PACBED) as sums over beams.

Averaged over whole lateral periods, beams of a probe do not interfere, so the pattern is

    I(κ+G; t) = Σ_H f(κ+H) |S_κ,t(G, H)|² / Σ f

with S the scattering matrix of `rhotem.microscope.bloch` and f the part of a beam's pixel inside the aperture. The
intensities know neither convergence nor mistilt: a tilted beam is an aperture centred off the axis. `patterns` keeps
them on a ladder of thicknesses, `Patterns` answers for any of these (LeBeau et al., Ultramicroscopy 110, 118, 2010).
"""

from rhotem.scattering.patterns.held import Patterns
from rhotem.scattering.patterns.make import patterns
from rhotem.scattering.patterns.opened import open_patterns
from rhotem.scattering.patterns.plan import PatternsPlan

__all__ = ["Patterns", "PatternsPlan", "open_patterns", "patterns"]
