"""The compiled readout against plain PyTorch, and what must hold for it on any grid."""

import ase
import numpy as np
import pytest
import torch

from rhotem.core import PeriodicGrid
from rhotem.learned.grid import counted_on_grid, on_grid
from rhotem.learned.kernels.grid import BlockOnGrid, add_block
from rhotem.learned.radial import Block
from rhotem.learned.source import atom_coefficients
from rhotem.structure.model import Structure
from rhotem.training.network.model import ModelSettings, make_model

SITES = np.array([[0.02, 0.05, 0.03], [0.45, 0.52, 0.1], [0.1, 0.48, 0.55], [-1.48, 0.07, 2.46]])
NUMBERS = [27, 8, 3, 8]
#: Skew, left-handed and strongly rhombohedral (33°), all smaller than the reach of the functions.
CELLS = {
    "skew": np.array([[3.9, 0.1, 0.0], [0.3, 4.2, 0.2], [-0.2, 0.4, 4.6]]),
    "left-handed hexagonal": np.array([[-2.4, 4.2, 0.0], [4.8, 0.0, 0.0], [0.5, 0.3, 4.0]]),
    "sharp rhombohedral": np.array([[1.4, 0.81, 4.7], [-1.4, 0.81, 4.7], [0.0, -1.62, 4.7]]),
}


@pytest.fixture(scope="module")
def model():
    return make_model(ModelSettings(elements=[3, 8, 27])).double().eval()


def crystal(cell: np.ndarray) -> Structure:
    return Structure(ase.Atoms(NUMBERS, SITES @ cell, cell=cell, pbc=True))


def random_coefficients(model, dtype=torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, b.functions, (b.lmax + 1) ** 2) for b in model.readout.blocks]
    return tuple(torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in shapes)


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("blocks", [(0,), (1,), (0, 1)])
def test_compiled_is_plain(model, cell, blocks):
    grid, c = PeriodicGrid(cell, (12, 15, 14)), random_coefficients(model)
    positions = crystal(cell).positions
    plain = on_grid(model, c, positions, grid, blocks, kernel="plain")
    np.testing.assert_allclose(on_grid(model, c, positions, grid, blocks), plain, atol=1e-9 * np.abs(plain).max())
    single = random_coefficients(model, torch.float32)
    plain = on_grid(model, single, positions, grid, blocks, kernel="plain")
    np.testing.assert_allclose(on_grid(model, single, positions, grid, blocks), plain, atol=1e-5 * np.abs(plain).max())


@pytest.mark.parametrize("shape", [(4, 5, 3), (14, 12, 13)])
def test_counted_is_plain_and_the_sum_is_the_count(model, shape):
    cell = CELLS["skew"]
    grid, c = PeriodicGrid(cell, shape), random_coefficients(model)
    values, moved = counted_on_grid(model, c, crystal(cell).positions, grid)
    plain, plain_moved = counted_on_grid(model, c, crystal(cell).positions, grid, kernel="plain")
    np.testing.assert_allclose(values, plain, atol=1e-9 * np.abs(plain).max())
    assert moved == pytest.approx(plain_moved, rel=1e-6, abs=1e-9)
    held = float((c[1][:, :, 0].numpy() @ model.readout.blocks[1].electrons).sum())
    assert grid.integrate(values) == pytest.approx(held, abs=1e-9)


def test_planes_put_together_are_the_whole(model):
    cell = CELLS["skew"]
    grid, c = PeriodicGrid(cell, (12, 15, 14)), random_coefficients(model)[1].numpy()
    functions = BlockOnGrid(model.readout.blocks[1], grid, crystal(cell).positions)
    whole, parts = np.zeros(grid.shape), np.zeros(grid.shape)
    sums = add_block(whole, 0, functions, c)
    pieces = sum(add_block(parts[a:b], a, functions, c) for a, b in ((0, 1), (1, 5), (5, 12)))
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_allclose(pieces, sums, atol=1e-10)


def test_the_number_of_threads_changes_nothing(model, monkeypatch):
    cell = CELLS["skew"]
    grid, c = PeriodicGrid(cell, (12, 15, 14)), random_coefficients(model)
    values = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        values.append(on_grid(model, c, crystal(cell).positions, grid))
    np.testing.assert_array_equal(values[0], values[1])


def test_higher_angular_momenta_are_left_to_torch():
    settings = ModelSettings(elements=[3, 8, 27])
    settings.nequip.lmax, settings.nequip.channels, settings.spherical.near.lmax = 5, 2, 5
    high = make_model(settings).double().eval()
    structure = crystal(CELLS["skew"])
    grid = PeriodicGrid(structure.cell, (4, 4, 4))
    values = on_grid(high, atom_coefficients(high, structure), structure.positions, grid)
    assert np.isfinite(values).all() and np.abs(values).max() > 0.0
    with pytest.raises(ValueError, match="l = 5"):
        BlockOnGrid(Block(0.1, 1.0, 3, 5, 2.0), grid, structure.positions)
