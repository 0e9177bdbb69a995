"""Displacements of a scan's rows: what drift and jitter did to an image, a few rows at a time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.experiment.calibrate.displacement import Windows

Floats = npt.NDArray[np.float64]

#: Height of a group of rows in the shortest period of the lattice, and rounds of the fit.
HEIGHT, ROUNDS = 0.5, 4
#: Largest step of a round in Å.
STEP = 0.5


@dataclass(frozen=True, eq=False)
class Rows:
    """Displacements of groups of rows.

    Parameters
    ----------
    y : (n,) array
        Middles in pixels.
    values : (n, 2) array
        Å, as those of `Windows`.
    """

    y: Floats
    values: Floats


def row_displacements(image: Floats, matrix: Floats, windows: Windows) -> Rows:
    """Shift of every group of rows against the mean lattice of the image, by least squares of its pixels."""
    g, coefficients = windows.reflections, 2 * windows.coefficients  # with their opposites
    f = g @ matrix
    height = max(2, int(np.ceil(HEIGHT / np.linalg.norm(f, axis=1).min())))
    number = image.shape[0] // height
    first = (image.shape[0] - number * height) // 2
    rows = first + np.arange(number * height)
    along = np.exp(2j * np.pi * f[:, :1] * np.arange(image.shape[1]))
    down = np.exp(2j * np.pi * f[:, 1:] * rows)
    values = (image[rows] - image.mean()).reshape(number, -1)
    moved = np.zeros((number, 2))
    for _ in range(ROUNDS):
        phase = np.exp(-2j * np.pi * moved @ g.T).repeat(height, axis=0).T
        amplitudes = coefficients[:, None] * down * phase
        model, *slopes = (
            ((amplitudes * factor[:, None]).T @ along).real.reshape(number, -1)
            for factor in (np.ones(len(g)), *(-2j * np.pi * g.T))
        )
        design = np.stack([*slopes, np.ones_like(model)], axis=-1)
        normal = np.einsum("npi,npj->nij", design, design)
        right = np.einsum("npi,np->ni", design, values - model)
        moved += np.clip(np.linalg.solve(normal, right[..., None])[:, :2, 0], -STEP, STEP)
    return Rows(first + height * (np.arange(number) + 0.5) - 0.5, moved)
