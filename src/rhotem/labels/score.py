"""The three metrics of a predicted density against a label, whole or of chosen voxels."""

import math

import numpy as np
import numpy.typing as npt

from rhotem.density.metrics import Scores, score, valence_electrons
from rhotem.labels.label import Label, coefficients_at
from rhotem.labels.waves import plane_indices


def score_label(predicted: npt.NDArray, label: Label) -> Scores:
    """Metrics of a deformation density (e/Å³) on the grid of a label.

    With chosen voxels the sums over the grid are estimates without bias, and the error of the potential is NaN where
    no Fourier coefficients are kept.
    """
    grid = label.grid
    if label.voxels is None:
        return score(predicted, label.treated, label.structure, grid)
    off = np.abs(np.asarray(predicted, dtype=float).ravel()[label.voxels.index] - label.treated)
    distance, scale = math.nan, math.nan
    if label.has_coefficients:
        h = plane_indices(grid)
        weight = 1.0 / ((h @ grid.reciprocal) ** 2).sum(1) ** 2
        reference = label.coefficients(h)
        theirs = coefficients_at(np.asarray(predicted), h)
        distance = float((weight * np.abs(theirs - reference) ** 2).sum())
        scale = float((weight * np.abs(reference) ** 2).sum())
    return Scores(
        density_distance=label.voxels.mean(off, grid.size) * grid.volume,
        density_scale=label.absolute_mean * grid.volume,
        potential_distance=distance,
        potential_scale=scale,
        valence=valence_electrons(label.structure),
    )
