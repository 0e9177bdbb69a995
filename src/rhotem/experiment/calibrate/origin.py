"""Which of the orientations that a lattice allows shows the columns of the structure, and where its origin lies."""

import numpy as np
import numpy.typing as npt

from rhotem.experiment.calibrate.projection import BLUR, Projection

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

#: Points along each vector of the cell at which the origin is tried, and rounds that make them finer.
TRIED, ROUNDS = 36, 5
#: Correlations this close are equal.
EQUAL = 0.02


def decided(matrices: list[Floats], matches: list[float]) -> tuple[int, str]:
    """Which of several lattices over an image shows the columns best, and the hand of the image.

    Parameters
    ----------
    matrices : list of (2, 2) array
        Å per pixel.
    matches : list of float
        Correlations with the columns.

    Returns
    -------
    int
        Of equal ones the least turned.
    str
        "as seen from the source", "mirrored" or "the lattice cannot tell".
    """
    proper = [m if np.linalg.det(a) > 0 else -1.0 for a, m in zip(matrices, matches, strict=True)]
    mirrored = [m if np.linalg.det(a) < 0 else -1.0 for a, m in zip(matrices, matches, strict=True)]
    best, other = max(proper), max(mirrored)
    if min(best, other) > 0 and abs(best - other) < EQUAL:
        hand, among = "the lattice cannot tell", proper
    elif best > other:
        hand, among = "as seen from the source", proper
    else:
        hand, among = "mirrored", mirrored
    equal = [i for i, m in enumerate(among) if m > max(among) - 0.25 * EQUAL]
    return min(equal, key=lambda i: round(abs(np.arctan2(matrices[i][1, 0], matrices[i][0, 0])), 3)), hand


def matched(g: Floats, coefficients: Complex, projection: Projection) -> tuple[Floats, float]:
    """Origin of the columns in Å and the correlation of the image with them, by the reflections of both."""
    positions = projection.positions @ projection.vectors
    factors = (projection.weights * np.exp(-2j * np.pi * g @ positions.T)).sum(axis=1)
    factors = factors * np.exp(-2 * (np.pi * BLUR) ** 2 * (g**2).sum(axis=1))
    product = coefficients * np.conj(factors)
    norm = np.linalg.norm(coefficients) * np.linalg.norm(factors)
    part = np.arange(TRIED) / TRIED
    tried = np.stack(np.meshgrid(part, part, indexing="ij"), axis=-1).reshape(-1, 2) @ projection.vectors
    place, width = tried[int(np.argmax(_sum(product, g, tried)))], 1.0 / TRIED
    for _ in range(ROUNDS):
        fine = np.linspace(-width, width, 7)
        near = np.stack(np.meshgrid(fine, fine, indexing="ij"), axis=-1).reshape(-1, 2) @ projection.vectors + place
        place, width = near[int(np.argmax(_sum(product, g, near)))], width / 3
    return place, float(_sum(product, g, place[None])[0] / norm) if norm else 0.0


def _sum(product: Complex, g: Floats, places: Floats) -> Floats:
    return np.asarray((product * np.exp(2j * np.pi * places @ g.T)).sum(axis=1).real)
