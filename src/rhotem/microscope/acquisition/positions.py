"""Where the probe really is: displacements of a raster scan, and signals of a periodic specimen there."""

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.microscope.acquisition.noise import exponential
from rhotem.microscope.acquisition.settings import Acquisition, Distortion, Flyback

Array = npt.NDArray[np.float64]

#: Å in a pm, s in a µs.
PM, US = 0.01, 1e-6
#: Relative accuracy of the Fourier sums at positions off the grid.
ACCURACY = 1e-9


def times(shape: tuple[int, int], acquisition: Acquisition) -> Array:
    """Time in µs (nx, ny) at which every position is recorded: along x first, then back and to the next row in y."""
    way = acquisition.flyback.time_us if acquisition.flyback else 0.0
    x = acquisition.dwell_us * np.arange(shape[0])
    return x[:, None] + (shape[0] * acquisition.dwell_us + way) * np.arange(shape[1])[None]


def displacements(
    shape: tuple[int, int], step: tuple[float, float], acquisition: Acquisition, streams: dict[str, np.random.Generator]
) -> Array:
    """Displacements (2, nx, ny) in Å along x and y of the probe on the specimen.

    Parameters
    ----------
    shape, step
        Positions along x and y, and their distance in Å.
    acquisition : Acquisition
    streams : dict of numpy Generators
        ``jitter`` and ``hum``, used where there is some.
    """
    when = times(shape, acquisition)
    moved = np.zeros((2, *shape))
    if acquisition.jitter:
        sequence = when.T.ravel()
        for axis in range(2):
            walk = exponential(sequence, acquisition.jitter.time_us, streams["jitter"])
            moved[axis] += PM * acquisition.jitter.sigma_pm * walk.reshape(shape[::-1]).T
    if acquisition.hum:
        phase = streams["hum"].uniform(0, 2 * np.pi)
        wave = np.sin(2 * np.pi * acquisition.hum.frequency_Hz * US * when + phase)
        moved += PM * np.array([acquisition.hum.x_pm, acquisition.hum.y_pm])[:, None, None] * wave
    if acquisition.drift:
        speed = np.array([acquisition.drift.x_pm_per_s, acquisition.drift.y_pm_per_s])
        moved -= PM * US * speed[:, None, None] * when
    if acquisition.flyback:
        moved[0] += _settling(shape, acquisition.flyback, acquisition.dwell_us)
    if acquisition.distortion:
        moved += _distorted(shape, step, acquisition.distortion)
    return moved


def _settling(shape: tuple[int, int], flyback: Flyback, dwell: float) -> Array:
    decay = np.exp(-dwell * np.arange(shape[0]) / flyback.settle_us)
    return np.broadcast_to(-PM * flyback.settle_pm * decay[:, None], shape)


def _distorted(shape: tuple[int, int], step: tuple[float, float], distortion: Distortion) -> Array:
    x, y = (d * np.arange(n) for n, d in zip(shape, step, strict=True))
    along = distortion.scale_x * x[:, None] + 1e-3 * distortion.skew_mrad * y[None]
    return np.stack([along, np.broadcast_to(distortion.scale_y * y[None], shape)])


def at_positions(images: npt.NDArray, size: tuple[float, float], positions: Array) -> npt.NDArray[np.float64]:
    """Values (channels, nx, ny) of periodic band-limited images (channels, mx, my) at ``positions`` (2, nx, ny) in Å.

    The Fourier series of an image holds everywhere; its sums are those of a nonuniform transform (finufft).

    Parameters
    ----------
    images : (channels, mx, my) array
        One period of ``size`` (Å), first value at position zero.
    """
    import finufft

    if not np.isfinite(positions).all():
        raise InputError("scan: positions are not finite; check jitter, drift and distortion")
    turns = [2 * np.pi * np.mod(p.ravel() / length, 1.0) for p, length in zip(positions, size, strict=True)]
    coefficients = np.fft.fft2(images) / (images.shape[-2] * images.shape[-1])
    order = np.ascontiguousarray(np.fft.fftshift(coefficients, axes=(-2, -1)))
    shown = finufft.nufft2d2(*turns, order, eps=ACCURACY, isign=1)
    return np.asarray(shown).real.reshape(len(images), *positions.shape[1:])
