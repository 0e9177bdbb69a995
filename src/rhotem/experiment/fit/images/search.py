"""Where to start: every thickness and defocus, compared with the mean cell of the measured images."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.experiment.fit.images.model import Model
from rhotem.experiment.fit.images.state import State

Array = npt.NDArray[np.float64]

#: Starts handed on, and how far two of them are apart at least, in Å of thickness and of defocus.
STARTS, APART = 5, (25.0, 25.0)
#: Origins in Å apart that are different starts: two kinds of columns may take each other's places.
PLACE = 0.6
#: Correlations this close, relative, are of origins that a translation of the crystal connects.
SAME = 1e-3
#: Source in Å to start from.
SOURCE = 0.8


def starts(model: Model, pixels: npt.ArrayLike, foci: Sequence[float]) -> list[tuple[float, State]]:
    """States from which to refine, with their correlation; the best first, no two alike.

    If all have one origin, the best with another is added: columns of nearly one brightness may change places.

    Parameters
    ----------
    model : Model
    pixels : (2, 2) array
        Takes (column, row) to Å along x and y of the crystal's cell; right to a quarter of the lattice's spacing
        across the image.
    foci : sequence of float
        Defocus values in Å.
    """
    matrix = np.asarray(pixels, dtype=float)
    measured = mean_waves(model, matrix)
    scale = np.sqrt((np.abs(measured) ** 2).sum(axis=(1, 2)))
    found = []
    depths = model.response.thicknesses
    for focus in foci:
        settings = {"defocus": float(focus), "source_size": SOURCE, "aberrations": {}}
        stack = model.series(depths, settings)
        for level, depth in enumerate(depths):
            cells = stack[:, level]
            waves = np.fft.fft2(cells) / cells[0].size
            waves[measured == 0] = 0.0
            size = np.sqrt((np.abs(waves) ** 2).sum(axis=(1, 2)))
            product = (measured.conj() * waves) / np.maximum(scale * size, 1e-300)[:, None, None]
            overlap = np.fft.ifft2(product.sum(axis=0)).real * cells[0].size
            for place in _places(overlap / len(cells), model.cell.step):
                found.append((float(overlap[place]) / len(cells), float(depth), float(focus), place))
    found.sort(key=lambda row: -row[0])
    chosen: list[tuple[float, State]] = []
    for score, depth, focus, place in found:
        x, y = (float(n * step) for n, step in zip(place, model.cell.step, strict=True))
        near = [abs(s.thickness - depth) < APART[0] and abs(s.defocus - focus) < APART[1] for _, s in chosen]
        sides = np.array(model.cell.size)
        away = [np.abs((np.array([x - s.x, y - s.y]) / sides + 0.5) % 1 - 0.5) @ sides for _, s in chosen]
        known = [bool(moved < PLACE) for moved in away]
        if any(close and there for close, there in zip(near, known, strict=True)):
            continue
        if len(chosen) >= STARTS and any(known):
            continue
        values = [depth, focus, 0.5, 0.0, SOURCE, x, y, *matrix.ravel()]
        chosen.append((score, scaled(model, np.array(values))))
        if len(chosen) > STARTS or (len(chosen) == STARTS and not all(known)):
            break
    return chosen


def _places(overlap: Array, step: tuple[float, float]) -> list[tuple[int, int]]:
    """Pixel of the largest correlation, and of the largest maximum at another origin, if there is one."""
    from scipy.ndimage import maximum_filter

    top = np.unravel_index(int(overlap.argmax()), overlap.shape)
    width = [max(3, 2 * round(PLACE / s) + 1) for s in step]
    peaks = (overlap == maximum_filter(overlap, width, mode="wrap")) & (overlap < (1 - SAME) * overlap[top])
    found = [(int(top[0]), int(top[1]))]
    if (overlap * peaks).max() > 0:
        second = np.unravel_index(int((overlap * peaks).argmax()), overlap.shape)
        found.append((int(second[0]), int(second[1])))
    return found


def mean_waves(model: Model, pixels: Array) -> Array:
    """Fourier coefficients (images, nx, ny) of measured images on the lattice, in the order of `numpy.fft.fft2`.

    They are those of the cell times exp(2πi q·o), o being where pixel (0, 0) lies. Beyond what the pixels resolve they
    are 0: a whole number of pixels in a cell would repeat the lower ones there.
    """
    x, y = pixels @ np.stack([model.columns, model.rows])
    waves = []
    for number, length, place in zip(model.cell.shape, model.cell.size, (x, y), strict=True):
        q = np.fft.fftfreq(number) * number / length
        waves.append(np.exp(-2j * np.pi * place[:, None] * q))
    result = []
    for image in model.images:
        values = np.asarray(image.values, dtype=float).ravel()
        result.append((waves[0] * (values - values.mean())[:, None]).T @ waves[1] / len(values))
    stack = np.stack(result)
    stack[:, 0, 0] = 0.0
    qx, qy = (np.fft.fftfreq(n) * n / side for n, side in zip(model.cell.shape, model.cell.size, strict=True))
    stack[:, np.hypot(qx[:, None], qy[None]) > 0.5 / np.sqrt(abs(np.linalg.det(pixels)))] = 0.0
    return stack


def scaled(model: Model, values: Array) -> State:
    """A state with the gains and offsets that fit best; electrons have none below zero to start from."""
    number = len(model.images)
    plain = State(values, np.ones(number), np.zeros(number))
    simulated = model.shown(plain)
    gains, offsets = np.ones(number), np.zeros(number)
    for place, image in enumerate(model.images):
        slope, level = np.polyfit(simulated[place], np.asarray(image.values, dtype=float).ravel(), 1)
        if slope > 0 and not (image.counts and level < 0):
            gains[place], offsets[place] = slope, level
        else:
            gains[place] = float(np.mean(image.values)) / max(float(simulated[place].mean()), 1e-12)
    return State(values, gains, offsets)
