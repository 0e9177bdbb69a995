"""Functions on grids by compiled loops, against the plain sums, and what must hold for them on any grid."""

import numpy as np
import pytest

from rhotem.core import PeriodicGrid
from rhotem.learned.grid import add_plainly, count_correction, counted_on_grid, on_grid
from rhotem.learned.kernels import grid as kernels
from rhotem.learned.kernels.grid import BlockOnGrid, add_block
from rhotem.learned.radial import Block
from rhotem.learned.readouts.spherical.coefficients import blocks_of
from rhotem.learned.settings import SphericalSettings

SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [-1.48, 0.07, 2.46]])
#: Skew, left-handed and strongly rhombohedral (33°), all smaller than the reach of the functions.
CELLS = {
    "skew": np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]]),
    "left-handed hexagonal": np.array([[-2.4, 4.2, 0.0], [4.8, 0.0, 0.0], [0.5, 0.3, 4.0]]),
    "sharp rhombohedral": np.array([[1.4, 0.81, 4.7], [-1.4, 0.81, 4.7], [0.0, -1.62, 4.7]]),
}


BLOCKS = blocks_of(SphericalSettings())


def random_coefficients(blocks=BLOCKS) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=(4, b.functions, (b.lmax + 1) ** 2)) for b in blocks)


def plainly(blocks, coefficients, positions, grid) -> np.ndarray:
    total = np.zeros(grid.shape)
    for block, c in zip(blocks, coefficients, strict=True):
        add_plainly(total, block, grid, positions, c)
    return total


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("chosen", [(0,), (1,), (0, 1)])
def test_compiled_is_plain(cell, chosen):
    grid = PeriodicGrid(cell, (12, 15, 14))
    blocks, c = ([x[i] for i in chosen] for x in (BLOCKS, random_coefficients()))
    plain = plainly(blocks, c, SITES @ cell, grid)
    np.testing.assert_allclose(on_grid(blocks, c, SITES @ cell, grid), plain, atol=1e-9 * np.abs(plain).max())


@pytest.mark.parametrize("shape", [(4, 5, 3), (14, 12, 13)])
def test_counted_is_plain_and_the_sum_is_the_count(shape):
    cell, block, c = CELLS["skew"], BLOCKS[1], random_coefficients()[1]
    grid = PeriodicGrid(cell, shape)
    values, moved = counted_on_grid(block, c, SITES @ cell, grid)
    plain = np.zeros(shape)
    sums = add_plainly(plain, block, grid, SITES @ cell, c) * grid.voxel_volume
    widest, correction, plain_moved = count_correction(block, c, sums)
    add_plainly(plain, widest, grid, SITES @ cell, correction)
    np.testing.assert_allclose(values, plain, atol=1e-9 * np.abs(plain).max())
    assert moved == pytest.approx(plain_moved, rel=1e-6, abs=1e-9)
    assert grid.integrate(values) == pytest.approx(float((c[:, :, 0] @ block.electrons).sum()), abs=1e-9)


def test_planes_put_together_are_the_whole():
    cell = CELLS["skew"]
    grid, c = PeriodicGrid(cell, (12, 15, 14)), random_coefficients()[1]
    functions = BlockOnGrid(BLOCKS[1], grid, SITES @ cell)
    whole, parts = np.zeros(grid.shape), np.zeros(grid.shape)
    sums = add_block(whole, 0, functions, c)
    pieces = sum(add_block(parts[a:b], a, functions, c) for a, b in ((0, 1), (1, 5), (5, 12)))
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_allclose(pieces, sums, atol=1e-10)


def test_the_number_of_threads_changes_nothing(monkeypatch):
    cell = CELLS["skew"]
    grid, c = PeriodicGrid(cell, (12, 15, 14)), random_coefficients()
    values = []
    for threads in (1, 3):
        monkeypatch.setattr(kernels, "available_threads", lambda threads=threads: threads)
        values.append(on_grid(BLOCKS, c, SITES @ cell, grid))
    np.testing.assert_array_equal(values[0], values[1])


def test_higher_angular_momenta_are_summed_without_compiled_loops():
    block, cell = Block(0.3, 1.0, 3, 6, 3.0), CELLS["skew"]
    grid, c = PeriodicGrid(cell, (9, 8, 10)), random_coefficients([block])
    values, _ = counted_on_grid(block, c[0], SITES @ cell, grid)
    assert grid.integrate(values) == pytest.approx(float((c[0][:, :, 0] @ block.electrons).sum()), abs=1e-9)
    # l = 5 and 6 integrate to nothing and are there
    assert (
        np.abs(values - counted_on_grid(Block(0.3, 1.0, 3, 4, 3.0), c[0][:, :, :25], SITES @ cell, grid)[0]).max() > 0.1
    )
    with pytest.raises(ValueError, match="l = 6"):
        BlockOnGrid(block, grid, SITES @ cell)
