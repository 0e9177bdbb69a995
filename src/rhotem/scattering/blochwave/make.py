"""`bloch_waves`: an oriented crystal and its density in, Bloch waves for a range of directions out."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rhotem.core.units import wavelength
from rhotem.density.field import DensityField
from rhotem.scattering.blochwave.beams import select_beams, wave_vectors
from rhotem.scattering.blochwave.discs import tilted
from rhotem.scattering.blochwave.optical import OpticalPotential
from rhotem.scattering.blochwave.waves import BlochWaves
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell


@dataclass(frozen=True)
class Selection:
    """Which beams take part.

    Parameters
    ----------
    g_max : float
        Largest |g| in 1/Å.
    s_max : float
        Largest excitation error in 1/Å of beams of the structure matrix.
    s_weak : float or None
        The same of beams that count in second order; None: there are none.
    """

    g_max: float = 3.0
    s_max: float = 0.05
    s_weak: float | None = 0.2


@dataclass(frozen=True)
class Beam:
    """The incident beam: ``energy`` in eV, semi-angle ``convergence`` and ``tilt`` towards +x and +y in mrad."""

    energy: float = 200e3
    convergence: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)


def bloch_waves(
    crystal: ImagingCell | Structure,
    beam: Beam,
    field: DensityField | None = None,
    displacements: npt.NDArray[np.float64] | None = None,
    absorption: float | Literal["thermal"] = "thermal",
    selection: Selection | None = None,
) -> BlochWaves:
    """Bloch waves of a crystal for all directions of a beam.

    Parameters
    ----------
    crystal : ImagingCell or Structure
        An imaging cell, or a crystal with the beam along +z of its frame.
    beam : Beam
        Its directions decide which reflections take part.
    field : DensityField or None
        Deformation density of the crystal; None: free atoms.
    displacements : (N,) or (N, 3, 3) array or None
        ⟨u²⟩ in Å² of the crystal's atoms, `rhotem.structure.debye_waller.thermal_motion`; None: at rest.
    absorption : "thermal" or float
        As `OpticalPotential`.
    selection : Selection or None

    Raises
    ------
    InputError
        If density or displacements are those of another crystal, or the selection leaves no or too many beams.
    """
    structure = crystal.crystal if isinstance(crystal, ImagingCell) else crystal
    chosen = selection or Selection()
    potential = OpticalPotential(structure, beam.energy, field, displacements, absorption)
    u0 = float(potential.elastic(np.zeros((1, 3), dtype=np.int64))[0].real)
    length = wavelength(beam.energy)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rim = 1e-3 * beam.convergence / length * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle = tilted(beam.energy, beam.tilt)
    directions = np.concatenate([middle[None], middle + rim])
    vectors = wave_vectors(directions, length, u0)
    beams = select_beams(structure, potential, vectors, chosen.g_max, chosen.s_max, chosen.s_weak)
    return BlochWaves(structure, potential, beam.energy, beams)
