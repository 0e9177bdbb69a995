"""Slices on disk are the slices of the file; windows are pieces of them."""

import numpy as np
import pytest

from rhotem.core import InputError, PeriodicGrid
from rhotem.potential.files.own import write_potential
from rhotem.potential.slices import PotentialSlices
from rhotem.potential.stream_read import open_potential, window


@pytest.fixture
def written(tmp_path) -> tuple[PotentialSlices, PotentialSlices]:
    grid = PeriodicGrid(np.diag([6.0, 8.0, 5.0]), (30, 40, 4))
    array = np.random.default_rng(0).normal(size=(4, 30, 40)).astype(np.float32)
    held = PotentialSlices(array, grid, 12.5, {"source": "test"})
    write_potential(held, tmp_path / "v.zarr")
    return held, open_potential(tmp_path / "v.zarr")


def test_slices_are_read_when_asked_for(written):
    held, lazy = written
    assert not isinstance(lazy.array, np.ndarray)
    assert (lazy.grid, lazy.mean_inner_potential, lazy.record) == (held.grid, 12.5, held.record)
    assert lazy.array.shape == held.array.shape and len(lazy.array) == 4 and lazy.array.size == held.array.size
    np.testing.assert_array_equal(lazy.array[1:3], held.array[1:3])
    np.testing.assert_array_equal(np.asarray(lazy.array), held.array)
    np.testing.assert_array_equal(np.stack(list(lazy.array)), held.array)
    np.testing.assert_allclose(lazy.projected(), held.projected(), atol=1e-12)


def test_a_window_is_a_piece_also_across_the_sides(written):
    held, lazy = written
    part, corner = window(lazy, (5.03, 7.0), (2.0, 3.0))
    assert corner == pytest.approx((5.0, 7.0)) and part.sampling == pytest.approx(held.sampling)
    rolled = np.roll(held.array, (-25, -35), axis=(1, 2))[:, :10, :15]
    np.testing.assert_array_equal(part.array, rolled)
    assert part.grid.cell[2, 2] == 5.0 and part.thickness == held.thickness
    for size in ((7.0, 2.0), (0.0, 1.0)):
        with pytest.raises(InputError, match="within the cell"):
            window(lazy, (0.0, 0.0), size)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="not a RhoTEM potential"):
        open_potential(tmp_path / "nothing.zarr")
