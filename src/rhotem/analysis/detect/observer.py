"""The ideal linear observer of a known change at a known place: how far two images are apart in units of their noise.

With the expected images of both specimens, s their difference and K the covariance of counting noise, the prewhitened
matched filter w = K⁻¹ s separates them by d′ = √(sᵀ K⁻¹ s) standard deviations (H. H. Barrett, K. J. Myers,
*Foundations of Image Science*, 2004, sec. 13.2); no linear observer does better, and of Gaussian images none at all.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator, cg

from rhotem.analysis.detect.noise import Channels, image_of
from rhotem.core import RhoTEMError

Array = npt.NDArray[Any]

#: Residual of the solution as a part of the signal, and the most steps towards it.
EXACT, STEPS = 1e-6, 2000
#: Least power of the noise, of its largest, at which a frequency is part of an image.
LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Seen:
    """How well a change is seen in one image, for one electron a pixel.

    Parameters
    ----------
    index : float
        d′² for one electron a pixel; that of N is N times it.
    signal : (nx, ny) array
        Expected difference of the images.
    deviation : (nx, ny) array
        Standard deviation of every pixel, of one electron.
    template : (nx, ny) array
        K⁻¹ s: what an image is multiplied with and summed to decide.
    """

    index: float
    signal: Array
    deviation: Array
    template: Array

    def detectability(self, electrons: float) -> float:
        """d′ at a mean number of electrons a pixel."""
        return float(np.sqrt(max(self.index, 0.0) * electrons))

    def contrast_to_noise(self, electrons: float) -> float:
        """Largest difference of any one pixel in units of its own noise."""
        safe = np.where(self.deviation > 0, self.deviation, np.inf)
        return float(np.abs(self.signal / safe).max() * np.sqrt(electrons))


def seen(changed: Channels, before: Channels, factors: Array) -> Seen:
    """How well an image, by its ``factors`` of `rhotem.analysis.detect.noise.transfer`, tells two specimens apart.

    The noise is the mean of both. A frequency that the image does not have (the mean of an integrated phase) tells
    nothing.
    """
    noise = 0.5 * (changed.covariance + before.covariance)
    signal = image_of(changed.mean - before.mean, factors)
    shape = signal.shape
    level = noise.mean(axis=(2, 3))
    power = np.einsum("axy,ab,bxy->xy", factors, level, factors.conj()).real
    held = power > LEAST * power.max()

    def covered(flat: Array) -> Array:
        spread = np.fft.ifft2(factors.conj() * np.fft.fft2(flat.reshape(shape))).real
        return np.asarray(image_of(np.einsum("abxy,bxy->axy", noise, spread), factors).ravel())

    def whitened(flat: Array) -> Array:
        spectrum = np.fft.fft2(flat.reshape(shape))
        return np.asarray(np.fft.ifft2(np.where(held, spectrum / np.where(held, power, 1.0), 0.0)).real.ravel())

    size = signal.size
    if not np.abs(signal).max() > 0:
        return Seen(0.0, signal, _deviation(noise, factors), np.zeros(shape))
    answer, failed = cg(
        LinearOperator((size, size), covered, dtype=float),
        signal.ravel(),
        rtol=EXACT,
        maxiter=STEPS,
        M=LinearOperator((size, size), whitened, dtype=float),
    )
    if failed:
        raise RhoTEMError("detectability: the noise of the image could not be inverted; a finer scan may help")
    return Seen(float(signal.ravel() @ answer), signal, _deviation(noise, factors), answer.reshape(shape))


def _deviation(noise: Array, factors: Array) -> Array:
    """Standard deviation of every pixel: Σ over pixels of the squared response to each, weighed by its covariance."""
    kernels = np.fft.ifft2(factors).real
    variance = np.zeros(noise.shape[2:])
    for a, first in enumerate(kernels):
        for b, second in enumerate(kernels):
            variance += np.fft.ifft2(np.fft.fft2(first * second) * np.fft.fft2(noise[a, b])).real
    return np.asarray(np.sqrt(np.clip(variance, 0.0, None)))
