"""Displacements of columns from the lattice of the crystal, and strain between them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.experiment.columns.gaussians import FittedColumns

Floats = npt.NDArray[np.float64]

#: Neighbours farther than this many lengths of the cell do not count; fewest of them.
REACH, FEWEST = 1.6, 5


@dataclass(frozen=True, eq=False)
class Strain:
    """Strain at columns against the mean lattice of the image, whose cell is that of the structure.

    Parameters
    ----------
    displacements, displacement_errors : (n, 2) array
        Å, right and down in the projection of the crystal: where each column lies against its place in the structure.
    xx, yy, xy, rotation : (n,) array
        Components in that frame, and rotation in rad from x to y; NaN at the rim.
    errors : (n, 3) array
        Of xx, yy and xy, by the errors of the places.
    """

    displacements: Floats
    displacement_errors: Floats
    xx: Floats
    yy: Floats
    xy: Floats
    rotation: Floats
    errors: Floats


def strain(columns: FittedColumns) -> Strain:
    """Displacement of every column and the strain of its surroundings, by least squares over columns of its kind.

    A scan's own distortion is part of both; what the rows did as a whole is in `row_displacements`.
    """
    matrix = columns.lattice.matrix
    moved = (columns.places - columns.expected) @ matrix.T
    errors = np.sqrt((columns.place_errors**2) @ (matrix.T**2))
    places = columns.expected @ matrix.T
    count = len(places)
    gradient, uncertain = np.full((count, 2, 2), np.nan), np.full((count, 3), np.nan)
    reach = REACH * min(np.linalg.norm(v) for v in columns.lattice.projection.vectors)
    for i in np.flatnonzero(columns.fitted):
        apart = places - places[i]
        near = columns.fitted & (columns.kinds == columns.kinds[i]) & ((apart**2).sum(axis=1) < reach**2)
        if near.sum() < FEWEST:
            continue
        design = np.column_stack([apart[near], np.ones(near.sum())])
        normal = design.T @ design
        if np.linalg.cond(normal[:2, :2]) > 1e4:
            continue
        inverse = np.linalg.inv(normal) @ design.T
        gradient[i] = (inverse @ moved[near])[:2].T  # [component, direction]
        variances = (inverse[:2] ** 2) @ (errors[near] ** 2)  # [direction, component]
        uncertain[i] = np.sqrt([variances[0, 0], variances[1, 1], (variances[1, 0] + variances[0, 1]) / 4])
    return Strain(
        moved,
        errors,
        gradient[:, 0, 0],
        gradient[:, 1, 1],
        0.5 * (gradient[:, 0, 1] + gradient[:, 1, 0]),
        0.5 * (gradient[:, 1, 0] - gradient[:, 0, 1]),
        uncertain,
    )
