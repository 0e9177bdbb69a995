"""What happens to a detector signal after the detector: source size, counting noise, integrated DPC."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.scan import Scan, fourier_resample

Array = npt.NDArray[np.floating]


def frequencies(scan: Scan) -> tuple[Array, Array]:
    """Fourier frequencies (1/Å) of a scanned image along x (column) and y (row)."""
    qx, qy = (np.fft.fftfreq(n, d) for n, d in zip(scan.shape, scan.step, strict=True))
    return qx[:, None], qy[None]


def source_blur(image: Array, scan: Scan, fwhm: float, between: bool = True) -> Array:
    """Convolve images (..., nx, ny) with a Gaussian source of full width at half maximum ``fwhm`` (Å).

    Periodic scans continue periodically, others by reflection. ``between``: the image is known between the positions
    (`rhotem.microscope.scan.determines`). Where it is not, the values that are there are weighed by the Gaussian,
    because its Fourier series, cut where the scan ends it, would make intensities negative.
    """
    if fwhm == 0:
        return image
    if not (scan.periodic and between):
        from scipy.ndimage import gaussian_filter1d

        beyond: Literal["wrap", "reflect"] = "wrap" if scan.periodic else "reflect"
        for axis, step in zip((-2, -1), scan.step, strict=True):
            image = gaussian_filter1d(image, fwhm / np.sqrt(8 * np.log(2)) / step, axis=axis, mode=beyond)
        return image
    qx, qy = frequencies(scan)
    variance = fwhm**2 / (8 * np.log(2))
    return np.fft.ifft2(np.fft.fft2(image) * np.exp(-2 * np.pi**2 * variance * (qx**2 + qy**2))).real


def count(image: Array, scan: Scan, dose: float, rng: np.random.Generator) -> Array:
    """Images (..., nx, ny) as fractions of the beam after counting electrons at ``dose`` (e/Å² of the scan).

    Each position receives dose × its area electrons on average; detected ones are Poisson distributed.
    """
    electrons = dose * scan.step[0] * scan.step[1]
    return rng.poisson(np.clip(image, 0, None) * electrons) / electrons


def field_of_view(images: Array, scan: Scan, pixel: float | None, field: float) -> tuple[Array, Scan]:
    """Noise-free images (..., nx, ny) as they are recorded: on pixels not above ``pixel`` Å, over at least ``field`` Å.

    A periodic image is known everywhere (`fourier_resample`) and continues periodically; others, and all if ``pixel``
    is None, stay as they are. Steps too coarse to determine the image pick values out of it, as a scan does; nothing
    is smoothed. ``images`` themselves must be determined (`rhotem.microscope.scan.determines`): between positions
    farther apart the Fourier series rings, below zero, too.
    """
    if pixel is None or not scan.periodic:
        return images, scan
    shape = (int(np.ceil(scan.size[0] / pixel - 1e-9)), int(np.ceil(scan.size[1] / pixel - 1e-9)))
    repeats = (max(1, int(np.ceil(field / scan.size[0] - 1e-9))), max(1, int(np.ceil(field / scan.size[1] - 1e-9))))
    skip = [max(1, -(-n // few)) for n, few in zip(scan.shape, shape, strict=True)]
    known = fourier_resample(images, (shape[0] * skip[0], shape[1] * skip[1]))
    tiles = (1,) * (images.ndim - 2) + repeats
    recorded = np.tile(known[..., :: skip[0], :: skip[1]], tiles)
    size = (scan.size[0] * repeats[0], scan.size[1] * repeats[1])
    return recorded, Scan((shape[0] * repeats[0], shape[1] * repeats[1]), size, scan.origin)


def integrate_moment(x: Array, y: Array, scan: Scan, wavelength: float) -> Array:
    """Integrated DPC: the phase (rad) whose gradient is the deflection (x, y) in mrad, mean zero.

    For a thin object the mean deflection of the beam is the gradient of the projected phase blurred by the probe,
    ``⟨k⟩ = ∇(σV_z ⊗ |ψ|²)/2π`` (Müller et al., Nat. Commun. 5, 5653, 2014), so the result is that phase. The
    gradient is inverted in Fourier space in the least-squares sense. Unpaired frequencies of an even number of
    positions are left out: along one axis their gradient is not known, and dividing what noise there is along the other
    by its small frequency draws stripes.
    """
    qx, qy = _derivative_frequencies(scan)
    q2 = qx**2 + qy**2
    divergence = qx * np.fft.rfft2(x) + qy * np.fft.rfft2(y)
    spectrum = divergence / (1j * np.where(q2 > 0, q2, 1.0))
    spectrum[..., (q2 == 0) | _unpaired(scan)] = 0.0
    return np.fft.irfft2(spectrum, s=scan.shape) * 1e-3 / wavelength


def divergence(x: Array, y: Array, scan: Scan) -> Array:
    """Differentiated DPC: ``−div`` of the deflection, in mrad/Å; peaks where the deflections converge, at nuclei."""
    qx, qy = _derivative_frequencies(scan)
    return -np.fft.irfft2(2j * np.pi * (qx * np.fft.rfft2(x) + qy * np.fft.rfft2(y)), s=scan.shape)


def _derivative_frequencies(scan: Scan) -> tuple[Array, Array]:
    """Frequencies of `numpy.fft.rfft2` with the unpaired Nyquist one set to zero: it has no derivative."""
    result = []
    for n, d, frequencies in zip(scan.shape, scan.step, (np.fft.fftfreq, np.fft.rfftfreq), strict=True):
        q = frequencies(n, d)
        if n % 2 == 0:
            q[n // 2] = 0.0
        result.append(q)
    return result[0][:, None], result[1][None]


def _unpaired(scan: Scan) -> Array:
    """Where an `numpy.fft.rfft2` of a scan has the frequency of an even number of positions that has no negative."""
    nx, ny = scan.shape
    x, y = np.arange(nx) * 2 == nx, np.arange(ny // 2 + 1) * 2 == ny
    return np.asarray(x[:, None] | y[None])


def mirrored(x: Array, y: Array, scan: Scan) -> tuple[Array, Array, Scan]:
    """Deflections of a finite scan, continued antisymmetrically so that the phase is even at the edges."""
    x = np.concatenate([x, -x[..., ::-1, :]], axis=-2)
    x = np.concatenate([x, x[..., ::-1]], axis=-1)
    y = np.concatenate([y, y[..., ::-1, :]], axis=-2)
    y = np.concatenate([y, -y[..., ::-1]], axis=-1)
    doubled = Scan((2 * scan.shape[0], 2 * scan.shape[1]), (2 * scan.size[0], 2 * scan.size[1]))
    return x, y, doubled


def phase_image(x: Array, y: Array, scan: Scan, wavelength: float) -> Array:
    """Phase in rad from deflections in mrad over a periodic or a finite scan (iDPC, iCoM)."""
    if x.shape != y.shape or x.shape[-2:] != scan.shape:
        raise InputError(f"deflections of shapes {x.shape} and {y.shape} do not belong to a scan of {scan.shape}")
    if scan.periodic:
        return integrate_moment(x, y, scan, wavelength)
    x, y, doubled = mirrored(x, y, scan)
    n1, n2 = scan.shape
    result = integrate_moment(x, y, doubled, wavelength)[..., :n1, :n2]
    return result - result.mean(axis=(-2, -1), keepdims=True)
