"""A small periodic potential with known projected potential: Gaussian columns."""

import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.potential.slices import PotentialSlices


def gaussian_slices(extent, shape, columns, width=0.25, number=6, thickness=2.0, seed=None, strength=1.0):
    """Columns (x, y, height in V·Å² per slice) as periodic Gaussians; displaced at random per slice if seeded."""
    rng = np.random.default_rng(seed) if seed is not None else None
    gx, gy = (np.fft.fftfreq(n) * n / l for n, l in zip(shape, extent, strict=True))
    form = np.exp(-2 * np.pi**2 * width**2 * (gx[:, None] ** 2 + gy[None] ** 2))
    array = np.zeros((number, *shape), dtype=np.float32)
    for s in range(number):
        f = np.zeros(shape, complex)
        for x, y, height in columns:
            dx, dy = rng.normal(0, 0.08, 2) if rng is not None else (0.0, 0.0)
            f += height * np.exp(-2j * np.pi * (gx[:, None] * (x + dx) + gy[None] * (y + dy))) * form
        array[s] = strength * np.fft.ifft2(f).real * shape[0] * shape[1] / (extent[0] * extent[1])
    grid = PeriodicGrid(np.diag([*extent, number * thickness]), (*shape, number))
    return PotentialSlices(array, grid, mean_inner_potential=0.0)


COLUMNS = ((1.0, 1.2, 120.0), (3.1, 3.9, 35.0), (2.2, 5.6, 12.0))


@pytest.fixture
def crystal():
    """Two configurations of a 4.2 × 6.3 Å cell with heavy, medium and light columns, atoms displaced."""
    return [gaussian_slices((4.2, 6.3), (48, 72), COLUMNS, seed=i) for i in (1, 2)]
