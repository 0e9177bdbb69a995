"""The orientation and scale of a lattice in an image, by the peaks of its transform."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.calibrate.projection import Projection

Floats = npt.NDArray[np.float64]

#: Peaks and reflections that are paired, and pixels from a peak within which a reflection counts as there.
PEAKS, REFLECTIONS, NEAR = 12, 10, 1.8
#: Largest ratio of the scales of both axes, and largest part by which the scale may differ from the stated one.
ANISOTROPY, TOLERANCE = 1.08, 0.08
#: Least height of a peak over the median of its ring.
HEIGHT = 4.0
#: Least frequency of a reflection in periods of the image, and largest in cycles per pixel.
LOWEST, HIGHEST = 4.0, 0.42
#: Least score.
LEAST = 0.75
#: Scores this close, relative to the best, count as equal; scales this far apart as different answers.
EQUAL, DIFFERENT = 0.98, 0.03


@dataclass(frozen=True, eq=False)
class Candidate:
    """A way to lay the lattice over the image.

    Parameters
    ----------
    matrix : (2, 2) array
        Å of the projection per pixel: ``r = matrix @ (x, y)``.
    score : float
        Correlation of expected and measured amplitudes, 1 at best.
    """

    matrix: Floats
    score: float

    @property
    def pixel(self) -> float:
        """Å, the mean of both axes."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))


def candidates(image: Floats, projection: Projection, pixel: float | None) -> list[Candidate]:
    """Ways to lay the lattice over the image that explain the peaks of its transform, the best first.

    Raises
    ------
    InputError
        If the image has fewer than two peaks, or the lattice cannot give them.
    """
    amplitude = _spectrum(image)
    places, heights = _peaks(amplitude)
    if len(places) < 2:
        raise InputError("no lattice in the image: its transform has no two peaks; is it in focus, along a zone axis?")
    matrices = _pairs(places[:PEAKS], projection, pixel)
    limit = f" within {100 * TOLERANCE:.0f} % of {pixel:.4g} Å per pixel" if pixel else ""
    if not len(matrices):
        raise InputError(
            f"the structure cannot give the lattice of the image{limit}; check structure, zone and --pixel-A"
        )
    scores = _scores(matrices, projection, places, heights, image.shape)
    order = np.argsort(-scores, kind="stable")
    if scores[order[0]] < LEAST:
        raise InputError(
            f"the structure cannot give the lattice of the image{limit}: it explains {scores[order[0]]:.2f} of its "
            f"peaks at best; check structure and zone{', the pixel' if pixel else ''}, and that columns are bright"
        )
    best: list[Candidate] = []
    for i in order:
        if scores[i] < 0.9 * scores[order[0]] or len(best) == 24:
            break
        matrix = matrices[i].T
        if all(np.abs(matrix - other.matrix).max() > 0.02 * other.pixel for other in best):
            best.append(Candidate(matrix, float(scores[i])))
    return best


def _spectrum(image: Floats) -> Floats:
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(image, max(image.shape) / 24)
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    return np.asarray(np.abs(np.fft.fft2((image - smooth) * window)))


def _peaks(amplitude: Floats) -> tuple[Floats, Floats]:
    """Frequencies (x, y) in cycles per pixel of the peaks of one half plane, highest first, and their heights."""
    from scipy.ndimage import maximum_filter

    rows, columns = amplitude.shape
    ky, kx = np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None]
    radius = np.hypot(ky, kx)
    lowest = LOWEST / min(amplitude.shape)
    allowed = (radius > lowest) & (radius < HIGHEST) & ((kx > 0) | ((kx == 0) & (ky > 0)))
    bands = np.minimum((radius * 40).astype(int), 30)
    noise = np.array([np.median(amplitude[bands == b]) if (bands == b).any() else np.inf for b in range(31)])
    top = (amplitude == maximum_filter(amplitude, 5, mode="wrap")) & allowed & (amplitude > HEIGHT * noise[bands])
    found = np.argwhere(top)
    heights = amplitude[top]
    order = np.argsort(-heights)[: 4 * PEAKS]
    places = np.array([_between(amplitude, *found[i]) for i in order]).reshape(-1, 2)
    return places, heights[order]


def _between(amplitude: Floats, row: int, column: int) -> tuple[float, float]:
    """Place (x, y) of a maximum between pixels, by parabolas through the logarithm."""
    shifts = []
    for axis, at in ((1, column), (0, row)):
        line = amplitude[row] if axis == 1 else amplitude[:, column]
        a, b, c = np.log(np.take(line, [at - 1, at, at + 1], mode="wrap") + 1e-300)
        shifts.append(0.5 * (a - c) / min(a - 2 * b + c, -1e-12))
    rows, columns = amplitude.shape
    x = (np.fft.fftfreq(columns)[column] * columns + shifts[0]) / columns
    y = (np.fft.fftfreq(rows)[row] * rows + shifts[1]) / rows
    return float(x), float(y)


def _pairs(places: Floats, projection: Projection, pixel: float | None) -> Floats:
    """Matrices M with f = M g that map two reflections to two peaks, of nearly one scale."""
    g = projection.reflections[:REFLECTIONS]
    i, j = np.triu_indices(len(g), 1)
    basis = np.stack([g[i], g[j]], axis=-1)  # columns
    basis = basis[np.abs(np.linalg.det(basis)) > 0.2 * np.linalg.norm(g[i], axis=1) * np.linalg.norm(g[j], axis=1)]
    signed = np.concatenate([places, -places])
    a, b = (n.ravel() for n in np.meshgrid(np.arange(len(places)), np.arange(len(signed)), indexing="ij"))
    peaks = np.stack([places[a], signed[b]], axis=-1)
    matrices = np.concatenate([peaks, peaks[:, :, ::-1]])[:, None] @ np.linalg.inv(basis)[None]
    matrices = matrices.reshape(-1, 2, 2)
    det = np.abs(np.linalg.det(matrices))
    norm = (matrices**2).sum(axis=(1, 2))
    # singular values s1, s2: s1² + s2² and s1 s2
    ratio = norm / np.maximum(2 * det, 1e-300)
    good = ratio < 0.5 * (ANISOTROPY + 1 / ANISOTROPY)
    if pixel:
        good &= np.abs(np.sqrt(det) / pixel - 1) < TOLERANCE
    return np.asarray(matrices[good])


def _scores(
    matrices: Floats, projection: Projection, places: Floats, heights: Floats, shape: tuple[int, ...]
) -> Floats:
    """Correlation of amplitudes: expected at reflections, measured at peaks; what the other lacks counts against it."""
    g, expected = projection.reflections, np.abs(projection.factors)
    size = np.array(shape[::-1], dtype=float)
    scores = np.empty(len(matrices))
    for start in range(0, len(matrices), 2048):
        f = g @ np.swapaxes(matrices[start : start + 2048], 1, 2)
        radius = np.linalg.norm(f, axis=-1)
        seen = (radius < HIGHEST) & (radius > LOWEST / size.min())
        measured = np.zeros(seen.shape)
        for place, height in zip(places, heights, strict=True):
            for sign in (1, -1):
                near = (np.abs((f - sign * place) * size) < NEAR).all(axis=-1)
                measured = np.maximum(measured, near * height)
        there = np.sqrt((seen * expected**2).sum(axis=1)) * np.linalg.norm(heights)
        scores[start : start + 2048] = (seen * measured * expected).sum(axis=1) / np.maximum(there, 1e-300)
    return scores
