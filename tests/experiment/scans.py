"""Scans of a lattice whose pixel, distortion, drift and noise are known."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.experiment.calibrate.projection import Projection
from rhotem.experiment.measurement import Axis, Measurement


@dataclass(frozen=True)
class Scan:
    """A scan of square pixels of this size (Å), turned (degrees), while the specimen moves (Å per row)."""

    pixel: float
    rotation: float = 0.0
    shear: float = 0.0
    drift: tuple[float, float] = (0.0, 0.0)
    jitter: float = 0.0
    wander: float = 0.0

    @property
    def matrix(self) -> npt.NDArray:
        """Å of the crystal per pixel."""
        turn = np.deg2rad(self.rotation)
        frame = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        step = np.array([[1.0, np.tan(np.deg2rad(self.shear))], [0.0, 1.0]]) * self.pixel
        step[:, 1] -= self.drift
        return frame @ step


def scanned(projection: Projection, scan: Scan, shape: tuple[int, int], rng: np.random.Generator) -> npt.NDArray:
    """Gaussian columns (σ = 0.45 Å) of the projection, 0 to 1, as a scan sees them: every row is displaced as a whole.

    Rows jitter independently (Å) and wander as a random walk (Å per row).
    """
    y, x = np.indices(shape)
    places = np.stack([x, y], axis=-1) @ scan.matrix.T
    rows = rng.normal(size=(shape[0], 2)) * scan.jitter
    rows += np.cumsum(rng.normal(size=(shape[0], 2)) * scan.wander, axis=0)
    places = places + rows[:, None] + rng.uniform(0, 4, 2)
    cells = places @ np.linalg.inv(projection.vectors)
    image = np.zeros(shape)
    for position, weight in zip(projection.positions, projection.weights, strict=True):
        part = (cells - position + 0.5) % 1 - 0.5
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                square = (((part + np.array([i, j])) @ projection.vectors) ** 2).sum(axis=-1)
                image += weight * np.exp(-square / (2 * 0.45**2))
    return image


def measured(image: npt.NDArray, pixel: float | None) -> Measurement:
    """An image as a file would give it."""
    return Measurement(image, "image", (Axis("y", "Å", pixel), Axis("x", "Å", pixel)))
