"""The mean cell of an image, with the error that the scatter of the cells gives."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError
from rhotem.experiment.calibrate.lattice import ImageLattice
from rhotem.experiment.measurement import Measurement

Floats = npt.NDArray[np.float64]

#: Fewest whole cells of a mean with an error.
FEWEST = 4


@dataclass(frozen=True, eq=False)
class MeanCell:
    """One cell of the projection (docs/conventions.md: rows are y), averaged over all whole cells of an image.

    Parameters
    ----------
    mean, error : (ny, nx) array
        In the image's unit; the error is the standard deviation between cells over the root of their number.
    cells : int
        How many were averaged.
    step : (float, float)
        Å between points along y and x.
    """

    mean: Floats
    error: Floats
    cells: int
    step: tuple[float, float]


def mean_cell(measurement: Measurement, lattice: ImageLattice, step: float | None = None) -> MeanCell:
    """Average an image over its cells, laid by ``lattice``; drift and distortion of its matrix are undone.

    Parameters
    ----------
    measurement : Measurement
        An image.
    lattice : ImageLattice
        Its lattice.
    step : float or None
        Å between points; None: the image's pixel.

    Raises
    ------
    InputError
        If fewer than four whole cells lie in the image.
    """
    from scipy.ndimage import map_coordinates

    image = np.asarray(measurement.data, dtype=float)
    vectors = lattice.projection.vectors
    step = step or lattice.pixel.value
    nx, ny = (max(2, ceil(np.linalg.norm(v) / step)) for v in vectors)
    part = np.stack(np.meshgrid(np.arange(nx) / nx, np.arange(ny) / ny), axis=-1).reshape(-1, 2)
    inverse = np.linalg.inv(lattice.matrix)
    inside = (part @ vectors) @ inverse.T
    corners = _corners(image.shape, lattice)
    places = ((corners @ vectors + lattice.origin) @ inverse.T)[:, None] + inside
    whole = ((places >= 0) & (places <= np.array(image.shape[::-1]) - 1)).all(axis=(1, 2))
    if whole.sum() < FEWEST:
        raise InputError(f"{measurement.source.path}: {whole.sum()} whole cells in the image; {FEWEST} are needed")
    values = map_coordinates(image, places[whole].transpose(2, 0, 1)[::-1], order=3, mode="nearest")
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(whole.sum())
    size = np.linalg.norm(vectors, axis=1)
    return MeanCell(
        mean.reshape(ny, nx), error.reshape(ny, nx), int(whole.sum()), (float(size[1] / ny), float(size[0] / nx))
    )


def _corners(shape: tuple[int, ...], lattice: ImageLattice) -> Floats:
    """Cells (i, j) that may lie in an image."""
    ends = np.array([[0, 0], [shape[1], 0], [0, shape[0]], [shape[1], shape[0]]], dtype=float)
    cells = (ends @ lattice.matrix.T - lattice.origin) @ np.linalg.inv(lattice.projection.vectors)
    low, high = np.floor(cells.min(axis=0)).astype(int), np.ceil(cells.max(axis=0)).astype(int)
    return np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True))), -1).reshape(-1, 2)
