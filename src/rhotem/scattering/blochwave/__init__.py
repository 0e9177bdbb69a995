"""Bloch waves: diffraction of crystals of any thickness and tilt from one diagonalisation a direction of the beam."""

from rhotem.scattering.blochwave.absorption import absorptive_form_factor, thermal_absorption
from rhotem.scattering.blochwave.beams import Beams, excitation_errors, select_beams, wave_vectors
from rhotem.scattering.blochwave.discs import (
    ConvergentBeam,
    convergent_beam,
    disc_directions,
    smallest_spacing,
    tilted,
)
from rhotem.scattering.blochwave.make import Beam, Selection, bloch_waves
from rhotem.scattering.blochwave.optical import OpticalPotential
from rhotem.scattering.blochwave.waves import BlochWaves

__all__ = [
    "Beam",
    "Beams",
    "BlochWaves",
    "ConvergentBeam",
    "OpticalPotential",
    "Selection",
    "absorptive_form_factor",
    "bloch_waves",
    "convergent_beam",
    "disc_directions",
    "excitation_errors",
    "select_beams",
    "smallest_spacing",
    "thermal_absorption",
    "tilted",
    "wave_vectors",
]
