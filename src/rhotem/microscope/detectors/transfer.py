"""What iDPC makes of a thin object's projected phase: weak-phase transfer of segments, beside that of iCoM."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.microscope.detectors.planes import quadrant
from rhotem.microscope.detectors.segments import Segments, segment_directions, segment_radius, shift_response
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import aberration_phase, opening_of

Array = npt.NDArray[Any]

#: Points across the aperture's radius, radial and azimuthal frequencies of the sums.
POINTS, RADII, AZIMUTHS = 32, 10, 4
#: Screening radius in Å of the atom whose height is stated: Thomas–Fermi, oxygen.
SCREENING = 0.23
#: Least height of that atom in iCoM, of what it had without aberrations, at which a ratio to it means something.
LEAST = 0.2


class _Transfer:
    """The probe and the segments on one grid of the detector plane, for many phases."""

    def __init__(self, detector: Segments, microscope: Microscope) -> None:
        self.microscope = microscope
        self.radius = opening_of(microscope)
        reach = detector.outer * 1e-3 / microscope.wavelength
        self.step = step = self.radius / POINTS
        n = int(np.ceil(reach / step)) + 1
        k = step * np.arange(-n, n + 1)
        self.kx, self.ky = kx, ky = np.meshgrid(k, k, indexing="ij")
        self.here = self.probe(0.0, 0.0).conj()
        # where nothing is lit all that follows is zero
        lit = np.abs(self.here) > 0
        self.kx, self.ky, self.here = kx, ky, here = kx[lit], ky[lit], self.here[lit]
        k0, k1 = (a * 1e-3 / microscope.wavelength for a in (detector.inner, detector.outer))
        size, disc = np.hypot(kx, ky), np.abs(here)
        # the part of a lit pixel that a detector sees, also where both end at the same angle
        ring = np.minimum(np.clip((k1 - size) / step + 0.5, 0.0, 1.0), disc) / np.maximum(disc, 1e-9)
        ring -= np.clip((k0 - size) / step + 0.5, 0.0, 1.0) if k0 else 0.0
        ring = np.clip(ring, 0.0, 1.0)
        self.power = float((disc**2).sum())
        scale = segment_radius(detector) / shift_response(detector, microscope.convergence)
        self.deflection = np.zeros((2, *kx.shape))
        for channel, direction in zip(detector.channels(), segment_directions(detector), strict=True):
            part = ring
            for azimuth in channel.region.quadrants:
                part = part * quadrant(kx, ky, azimuth, (step, step))
            self.deflection += scale * direction[:, None] * part

    def probe(self, qx: float, qy: float) -> Array:
        """The probe at k + q."""
        x, y = self.kx + qx, self.ky + qy
        part = np.clip((self.radius - np.hypot(x, y)) / self.step + 0.5, 0.0, 1.0)
        lit = part > 0
        wave = np.zeros(part.shape, dtype=complex)
        wave[lit] = part[lit] * np.exp(-1j * aberration_phase(x[lit], y[lit], self.microscope))
        return wave

    def __call__(self, qx: float, qy: float) -> tuple[complex, complex]:
        """IDPC and iCoM per unit of the phase exp(2πi q·r)."""
        before = self.here * self.probe(-qx, -qy)
        intensity = 1j * (before - (self.here * self.probe(qx, qy)).conj())
        deflection = (self.deflection @ intensity) / self.power
        along = qx * deflection[0] + qy * deflection[1]
        integrated = complex(along / (1j * (qx**2 + qy**2)) * 1e-3 / self.microscope.wavelength)
        return integrated, complex(before.sum() / self.power)


def phase_transfer(detector: Segments, microscope: Microscope, qx: float, qy: float) -> tuple[complex, complex]:
    """IDPC and iCoM per unit of the phase exp(2πi q·r) of a weak object, q in 1/Å.

    The first-order intensity at detector frequency k is ``iφ(q)[ψ*(k)ψ(k−q) − ψ(k)ψ*(k+q)]`` (Rose, Optik 39, 416,
    1974) with ψ the probe in reciprocal space; deflections and their integration are those of
    `rhotem.microscope.signals`. iCoM of all electrons is the phase blurred by the probe: the overlap of ψ with itself.
    """
    return _Transfer(detector, microscope)(qx, qy)


def height_of_atoms(detector: Segments, microscope: Microscope) -> dict[str, float]:
    """How high iDPC shows a light atom and a slow phase, in units of iCoM; of thin, weakly scattering objects.

    Four segments respond to a shift of the bright disc, which slow phases make, as the centre of mass does, and more to
    phases that vary within the probe. Returns ``atoms`` and ``slow``; nothing where aberrations blur atoms away.
    """
    most = 2e-3 * microscope.convergence / microscope.wavelength
    radii = most * (np.arange(RADII) + 0.5) / RADII
    heights, ideal = np.zeros(2), 0.0
    transfer = _Transfer(detector, microscope)
    azimuths = np.pi * (np.arange(AZIMUTHS) + 0.5) / AZIMUTHS
    for q in radii:
        weight = q / (1 + (2 * np.pi * q * SCREENING) ** 2)
        found = [transfer(q * np.cos(a), q * np.sin(a)) for a in azimuths]
        heights += weight * np.mean(found, axis=0).real
        u = q / most
        ideal += weight * 2 / np.pi * (np.arccos(u) - u * np.sqrt(1 - u**2))
    if heights[1] < LEAST * ideal:
        return {}
    slow, whole = transfer(0.02 * most, 0.0)
    return {"atoms": float(heights[0] / heights[1]), "slow": float(slow.real / whole.real)}
