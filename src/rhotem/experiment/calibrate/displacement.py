"""Where the lattice of an image lies, window by window, against a lattice of one matrix."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.calibrate.projection import Projection

Floats = npt.NDArray[np.float64]

#: Width of a window in the longest period of the lattice, and of the steps between windows in its width.
WIDTH, STEP = 2.5, 0.5
#: Fewest windows along each axis.
FEWEST = 5
#: Reflections that are used, and the least height of one over the noise of its amplitude.
MOST, HEIGHT = 16, 5.0
#: Highest frequency in cycles per pixel.
HIGHEST = 0.42


@dataclass(frozen=True, eq=False)
class Windows:
    """Displacements of the lattice in windows of an image.

    Parameters
    ----------
    x, y : (nx,), (ny,) arrays
        Middles in pixels.
    values : (ny, nx, 2) array
        Å: a column of the lattice at R lies at ``matrix @ pixel = R + value``.
    reflections : (m, 2) array
        1/Å, those that were used.
    coefficients : (m,) complex array
        Fourier coefficients of the image at them.
    """

    x: Floats
    y: Floats
    values: Floats
    reflections: Floats
    coefficients: npt.NDArray[np.complex128]


def displacements(image: Floats, matrix: Floats, projection: Projection) -> Windows:
    """Displacements from the phases of the strongest reflections in windows (geometric phases).

    Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74, 131 (1998), with all reflections in one least-squares fit.

    Raises
    ------
    InputError
        If the image has too few periods, or fewer than two reflections stand out of the noise.
    """
    g = projection.reflections
    f = g @ matrix  # cycles per pixel: g·(A p)
    radius = np.linalg.norm(f, axis=1)
    usable = np.flatnonzero(radius < HIGHEST)[: 2 * MOST]
    width = WIDTH / radius[usable].min()
    xs, ys = (_middles(n, width) for n in image.shape[::-1])
    if min(len(xs), len(ys)) < FEWEST:
        periods = min(image.shape) * radius[usable].min()
        raise InputError(f"{periods:.0f} periods of the lattice in the image; at least {_periods():.0f} are needed")
    values = image - image.mean()
    x, y = np.arange(image.shape[1]), np.arange(image.shape[0])
    wx, wy = (_windows(n, at, width) for n, at in ((x, xs), (y, ys)))
    amplitudes = np.stack(
        [(wy * np.exp(-2j * np.pi * f[i, 1] * y)) @ values @ (wx * np.exp(-2j * np.pi * f[i, 0] * x)).T for i in usable]
    )
    mean = amplitudes.mean(axis=(1, 2))
    noise = np.sqrt(((values - values.mean()) ** 2).mean() * (wx**2).sum(axis=1)[0] * (wy**2).sum(axis=1)[0])
    scatter = np.abs(amplitudes - mean[:, None, None]).std(axis=(1, 2))
    strong = np.abs(mean) > HEIGHT * np.minimum(noise, scatter) / np.sqrt(amplitudes[0].size)
    chosen = np.flatnonzero(strong)[np.argsort(-np.abs(mean[strong]))][:MOST]
    used = g[usable[chosen]]
    if len(chosen) < 2 or np.linalg.svd(used)[1][1] < 0.1 * np.linalg.svd(used)[1][0]:
        raise InputError("the lattice does not stand out of the noise; check structure and zone, or average frames")
    coefficients, moved = mean[chosen], np.zeros((len(ys), len(xs), 2))
    for _ in range(3):
        moved = _solved(amplitudes[chosen], coefficients, used)
        phases = np.exp(2j * np.pi * np.tensordot(used, moved, axes=(1, 2)))
        coefficients = (amplitudes[chosen] * phases).mean(axis=(1, 2))
    return Windows(xs, ys, moved, used, coefficients)


def _periods() -> float:
    return WIDTH * (1 + STEP * (FEWEST - 1))


def _middles(size: int, width: float) -> Floats:
    number = int((size - width) / (STEP * width)) + 1
    free = size - 1 - (number - 1) * STEP * width
    return np.asarray(0.5 * free + STEP * width * np.arange(max(number, 0)))


def _windows(pixels: npt.NDArray, middles: Floats, width: float) -> Floats:
    """Hann windows, rows, each of sum 1."""
    part = (pixels - middles[:, None]) / width
    weights = np.where(np.abs(part) < 0.5, np.cos(np.pi * part) ** 2, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _solved(amplitudes: npt.NDArray, coefficients: npt.NDArray, g: Floats) -> Floats:
    """Least squares of phases −2π g·u, weighed by the intensity of each reflection."""
    phases = np.angle(amplitudes * np.conj(coefficients)[:, None, None])
    weights = np.abs(coefficients) ** 2
    normal = (g * weights[:, None]).T @ g
    right = np.tensordot((g * weights[:, None]).T, phases, axes=1)
    solved = -np.linalg.solve(normal, right.reshape(2, -1)) / (2 * np.pi)
    return np.asarray(solved.reshape(2, *phases.shape[1:]).transpose(1, 2, 0))
