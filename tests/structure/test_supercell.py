"""Repeats and grids: nothing straddles, lengths are FFT-friendly, thickness is whole cells."""

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from rhotem.core import InputError
from rhotem.structure.model import Structure
from rhotem.structure.ordering import compact_supercell, ewald_matrix
from rhotem.structure.orient import orient
from rhotem.structure.supercell import (
    imaging_grid,
    lateral_repeats,
    repeated_grid,
    supercell_for_probe,
    thickness_repeats,
)

CELL = orient(Structure(bulk("Si")), (1, 1, 0))


def smooth(n):
    for p in (2, 3, 5, 7):
        while n % p == 0:
            n //= p
    return n == 1


@given(width=st.floats(1.0, 300.0), sampling=st.floats(0.03, 0.3), slices=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_grids_of_supercells_repeat_the_grid_of_the_cell(width, sampling, slices):
    grid = imaging_grid(CELL, sampling, slices)
    nx, ny = lateral_repeats(CELL, width)
    assert nx * CELL.lengths[0] >= width - 1e-6 and ny * CELL.lengths[1] >= width - 1e-6
    large = repeated_grid(grid, nx, ny, 2)
    assert all(smooth(n) for n in large.shape[:2])
    assert np.allclose(large.spacing, grid.spacing)
    assert (grid.spacing[:2] <= sampling * (1 + 1e-9)).all() and grid.shape[2] == slices


def test_supercell_holds_the_probe_and_the_thickness():
    cell = supercell_for_probe(CELL, 20.0, 10.0)
    _, real = thickness_repeats(CELL, 10.0)
    assert cell.lengths[0] >= 20 and cell.lengths[1] >= 20
    assert cell.lengths[2] == pytest.approx(10 * real)
    assert abs(real - 10.0) <= CELL.lengths[2] / 20 + 1e-9
    assert np.allclose(cell.structure.volume / len(cell.structure), CELL.structure.volume / len(CELL.structure))


def test_thin_crystals_are_one_cell():
    assert thickness_repeats(CELL, 0.01)[0] == 1


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_bad_lengths(value):
    for call in (
        lambda: thickness_repeats(CELL, value),
        lambda: supercell_for_probe(CELL, value),
        lambda: imaging_grid(CELL, value, 3),
    ):
        with pytest.raises(InputError):
            call()
    with pytest.raises(InputError, match="atoms"):
        supercell_for_probe(CELL, 1e6)
    with pytest.raises(InputError, match="less width or thickness"):  # a millimetre of crystal filled the memory
        CELL.repeated(1, 1, 10_000_000)


@pytest.mark.parametrize(
    "atoms, charges, distance, madelung",
    [  # Madelung constants: Kittel, Introduction to Solid State Physics, ch. 3
        (bulk("NaCl", "rocksalt", a=5.64), [1, -1], 2.82, 1.747565),
        (bulk("CsCl", "cesiumchloride", a=4.12), [1, -1], 4.12 * np.sqrt(3) / 2, 1.762675),
        (bulk("ZnS", "zincblende", a=5.41), [1, -1], 5.41 * np.sqrt(3) / 4, 1.638055),
    ],
)
def test_ewald_gives_madelung_constants(atoms, charges, distance, madelung):
    q = np.array(charges, dtype=float)
    for cells in [(1, 1, 1), (1, 2, 3)]:
        big = atoms.repeat(cells)
        matrix = ewald_matrix(big.cell.array, big.get_scaled_positions())
        charge = np.tile(q, int(np.prod(cells)))
        energy = 0.5 * charge @ matrix @ charge / np.prod(cells)
        assert -energy * distance == pytest.approx(madelung, abs=2e-6)


def test_compact_supercells_are_compact():
    cell = np.diag([2.0, 4.0, 8.0])
    grown = compact_supercell(cell, 8) @ cell
    assert np.allclose(sorted(np.linalg.norm(grown, axis=1)), [8, 8, 8])
