"""Off-axis holography: the image wave that the sideband of a hologram holds.

A plane reference wave interferes with the image wave. Of many electrons only what is coherent with the reference makes
fringes: the mean of the image wave over thermal motion, focus and illumination angle. Each beam k of the mean exit wave
is thus damped alone, as in linear imaging,

    ψ(k) exp(−iχ(k)) exp(−(πλΔk²)²/2) exp(−s²|∇χ(k)|²/2)

with Δ the focal spread and s the illumination angle over λ (Lichte & Lehmann, Rep. Prog. Phys. 71, 016102, 2008).
"""

import numpy as np
import numpy.typing as npt

from rhotem.microscope.coherence import gradient
from rhotem.microscope.instrument import Microscope
from rhotem.microscope.optics import aberration_phase, soft_disc

Array = npt.NDArray[np.float64]


def image_wave(
    coefficients: npt.NDArray[np.complexfloating], extent: tuple[float, float], microscope: Microscope
) -> npt.NDArray[np.complexfloating]:
    """Wave (nx, ny) in the image plane from Fourier coefficients (nx, ny) of the mean exit wave of a cell."""
    frequencies = (np.fft.fftfreq(n, length / n) for n, length in zip(coefficients.shape, extent, strict=True))
    kx, ky = np.meshgrid(*frequencies, indexing="ij")
    focal = np.pi * microscope.wavelength * microscope.focal_spread * (kx**2 + ky**2)
    angle = 1e-3 * microscope.convergence / microscope.wavelength
    sx, sy = gradient(kx, ky, microscope)
    passed = np.exp(-1j * aberration_phase(kx, ky, microscope) - focal**2 / 2 - angle**2 * (sx**2 + sy**2) / 2)
    if microscope.objective is not None:
        radius = 1e-3 * microscope.objective / microscope.wavelength
        passed = passed * soft_disc(kx, ky, radius, (1 / extent[0], 1 / extent[1]))
    return np.asarray(np.fft.ifft2(coefficients * passed, norm="forward"))


def sideband(
    coefficients: npt.NDArray[np.complexfloating], extent: tuple[float, float], microscope: Microscope
) -> dict[str, Array]:
    """``phase`` in rad against a reference through vacuum, modulo 2π of the whole image, and ``amplitude``."""
    wave = image_wave(coefficients, extent, microscope)
    middle = float(np.angle(wave.mean()))
    return {"phase": np.angle(wave * np.exp(-1j * middle)) + middle, "amplitude": np.abs(wave)}
