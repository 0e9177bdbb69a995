"""A camera of parallel illumination: transfer of signal and of noise, then counts."""

import numpy as np
import numpy.typing as npt

from rhotem.microscope.acquisition.electronics import quantised
from rhotem.microscope.acquisition.settings import CameraChip

Array = npt.NDArray[np.float64]


def curve(points: tuple[tuple[float, float], ...], shape: tuple[int, int]) -> Array:
    """MTF or DQE at the frequencies of an image (nx, ny), by monotone cubics between points (q/Nyquist, value)."""
    from scipy.interpolate import PchipInterpolator

    q = 2 * np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    places, values = np.array(points).T
    if len(places) == 1:
        return np.full(shape, values[0])
    return np.asarray(PchipInterpolator(places, values)(np.minimum(q, places[-1])))


def exposed(
    expected: Array, chip: CameraChip, rng: np.random.Generator | None, streams: dict[str, np.random.Generator]
) -> Array:
    """Counts (nx, ny) of a camera for ``expected`` electrons in every pixel; without ``rng`` none are drawn.

    The signal is transferred by MTF(q), and n electrons per pixel have noise of the power n MTF²(q)/DQE(q), as the
    definition of DQE demands. Two filters around a Poisson process do both: what is counted is the image filtered by
    √(DQE(q) DQE(0)), and what is stored the counts filtered by MTF(q)/√(DQE(q) DQE(0)). The
    idea of filters around a Poisson process is that of Vulović et al. (J. Struct. Biol. 183, 19, 2013).
    """
    mtf, dqe = curve(chip.mtf, expected.shape), curve(chip.dqe, expected.shape)
    root = np.sqrt(dqe * dqe[0, 0])
    seen = np.clip(_filtered(expected, root), 0.0, None)
    counted = seen if rng is None else rng.poisson(seen).astype(float)
    signal = _filtered(counted, mtf / root)
    if chip.dark_e_per_pixel:
        signal = signal + streams["camera dark"].poisson(chip.dark_e_per_pixel, signal.shape)
    stored = chip.gain * signal + chip.offset
    if chip.read_noise:
        stored = stored + chip.read_noise * streams["camera read-noise"].standard_normal(signal.shape)
    return quantised(stored, chip.bits)


def _filtered(image: Array, transfer: Array) -> Array:
    return np.asarray(np.fft.ifft2(np.fft.fft2(image) * transfer).real)
