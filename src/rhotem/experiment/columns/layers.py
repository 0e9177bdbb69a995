"""Numbers of columns layer by layer: means along one lattice vector, profiles along the other."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.columns.gaussians import FittedColumns


@dataclass(frozen=True)
class Layer:
    """Mean over the columns of one kind in one layer of cells.

    Parameters
    ----------
    layer : int
        Cell along the profile.
    label : str
        Elements of the columns.
    kind : int
        Which column of the cell.
    columns : int
    mean, error, spread : float
        Error of the mean by the scatter between columns; their standard deviation.
    """

    layer: int
    label: str
    kind: int
    columns: int
    mean: float
    error: float
    spread: float


def layers(columns: FittedColumns, values: npt.NDArray[np.float64], along: Literal["x", "y"] = "y") -> list[Layer]:
    """Profile of a number of columns (an intensity, a displacement) along the first (x) or second vector of the cell.

    Raises
    ------
    InputError
        If there is not one value for every column.
    """
    if np.shape(values) != np.shape(columns.kinds):
        raise InputError(f"layers: {np.size(values)} values for {len(columns.kinds)} columns")
    index = columns.cells[:, 0 if along == "x" else 1]
    known = columns.fitted & np.isfinite(values)  # strain has no value at the rim
    found = []
    for layer in np.unique(index):
        for kind in np.unique(columns.kinds):
            chosen = np.asarray(values)[(index == layer) & (columns.kinds == kind) & known]
            if len(chosen) < 2:
                continue
            spread = float(chosen.std(ddof=1))
            label = columns.lattice.projection.labels[kind]
            error = spread / float(np.sqrt(len(chosen)))
            found.append(Layer(int(layer), label, int(kind), len(chosen), float(chosen.mean()), error, spread))
    return found
