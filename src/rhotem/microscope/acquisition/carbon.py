"""A layer of amorphous carbon: atoms at random that scatter the probe once, incoherently.

Atom j at R_j receives the part P(R_j − r0) of the beam per area and scatters each electron with the differential cross
section γ²|f_e|². With Δσ_d, the change of the signal d that one atom makes per beam density, a signal becomes

    I_d(r0) + Δσ_d Σ_j P(R_j − r0)

a shot-noise process of the density n of atoms per area: mean n Δσ_d, variance n Δσ_d² ∫P² and autocovariance
n Δσ_d² (P ⋆ P) (Campbell). What scatters twice, and the phase contrast of carbon, is left out.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core.units import ELECTRON_REST_ENERGY
from rhotem.microscope.acquisition.positions import ACCURACY
from rhotem.microscope.acquisition.settings import Carbon
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import aperture
from rhotem.microscope.probe import Probe
from rhotem.microscope.record import Recorder
from rhotem.microscope.scan import Scan

Array = npt.NDArray[Any]

#: Atomic number and mass, and atoms in a g/cm³ of 1 Å³ and unit mass.
CARBON, MASS, AVOGADRO = 6, 12.011, 0.602214076
#: Frequencies in 1/Å over which all scattering is summed up.
FARTHEST, STEPS = 12.0, 4000


def atoms_per_area(carbon: Carbon) -> float:
    """Atoms in 1 Å² of the layer."""
    return 10 * carbon.thickness_nm * carbon.density_g_per_cm3 * AVOGADRO / MASS


def changes(recorder: Recorder, microscope: Microscope) -> npt.NDArray[np.float64]:
    """Δσ (columns) in Å² of all signals of a recorder.

    The electrons that meet the atom are taken to have the directions of the bare probe.
    """
    before = _disc(recorder, microscope)
    half = [n // 2 for n in before.shape]
    step, wavelength = recorder.step, microscope.wavelength
    wide = [2 * h + 1 for h in half]  # scattering from end to end
    gx, gy = (s * np.arange(-2 * h, 2 * h + 1) for s, h in zip(step, half, strict=True))
    kernel = _cross_section(np.hypot(gx[:, None], gy[None]), microscope.energy) * wavelength**2 * step[0] * step[1]
    shape = [a + b - 1 for a, b in zip(wide, kernel.shape, strict=True)]
    after = np.fft.irfft2(np.fft.rfft2(before, shape) * np.fft.rfft2(kernel, shape), shape)
    after = after[2 * half[0] : 4 * half[0] + 1, 2 * half[1] : 4 * half[1] + 1]
    gained = after - total(microscope) * before
    beams = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), axis=-1).reshape(-1, 2)
    return np.asarray(recorder.exact_weights(beams).T @ gained.ravel())


def total(microscope: Microscope) -> float:
    """Elastic cross section of an atom in Å²: ``γ²λ² ∫ f_e² 2πq dq``."""
    q = np.linspace(0, FARTHEST, STEPS)
    area = 2 * np.pi * np.trapezoid(q * _cross_section(q, microscope.energy), q)
    return float(microscope.wavelength**2 * area)


def _cross_section(q: Array, energy: float) -> Array:
    """Differential cross section in Å² per solid angle at frequencies q in 1/Å: first Born."""
    from rhotem.density.free_atoms import load

    sizes, places = np.unique(np.round(q, 9), return_inverse=True)
    form = load().electron_form_factor(CARBON, sizes)
    return np.asarray(((1 + energy / ELECTRON_REST_ENERGY) * form[places].reshape(np.shape(q))) ** 2)


def _disc(recorder: Recorder, microscope: Microscope) -> Array:
    """The bright disc (2n+1, 2m+1) on the pixels of the recorder, as far as its detectors reach; sums to 1."""
    half = [int(recorder.reach / s) for s in recorder.step]
    axes = (s * np.arange(-h, h + 1) for s, h in zip(recorder.step, half, strict=True))
    kx, ky = np.meshgrid(*axes, indexing="ij")
    disc = aperture(kx, ky, microscope, recorder.step)
    return np.asarray(disc / disc.sum())


def blur(probe: Probe, scan: Scan) -> Array:
    """Fourier transform (nx, ny) of a probe's intensity at the frequencies of a scan; 1 at zero."""
    axis = probe.step * (np.arange(len(probe.intensity)) - len(probe.intensity) // 2)
    frequencies = (np.fft.fftfreq(n, d) for n, d in zip(scan.shape, scan.step, strict=True))
    along, across = (np.exp(-2j * np.pi * np.outer(q, axis)) for q in frequencies)
    return np.asarray((along @ probe.intensity @ across.T) * probe.step**2)


def density(carbon: Carbon, scan: Scan, transfer: Array, rng: np.random.Generator) -> Array:
    """Σ_j P(R_j − r0) in 1/Å² at the positions (nx, ny) of a scan, which continues periodically.

    ``transfer``: that of the probe, `blur`.
    """
    import finufft

    area = scan.size[0] * scan.size[1]
    number = rng.poisson(atoms_per_area(carbon) * area)
    x, y = rng.uniform(0, 2 * np.pi, (2, number))
    if number == 0:
        return np.zeros(scan.shape)
    atoms = finufft.nufft2d1(x, y, np.ones(number, dtype=complex), scan.shape, eps=ACCURACY, isign=-1, modeord=1)
    return np.asarray(np.fft.ifft2(atoms * np.conj(transfer)).real * (scan.shape[0] * scan.shape[1]) / area)
