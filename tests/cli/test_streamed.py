"""`rhotem potential` to disk: chosen when slices do not fit, the same slices, refused where it cannot be."""

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli.main import app
from rhotem.cli.streamed import is_streamed
from rhotem.core import InputError, PeriodicGrid
from rhotem.potential.files import read_potential


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_free_atoms_streamed_are_those_in_memory(tmp_path):
    common = ("potential", "LiF", "--source", "free-atoms", "--sampling", 0.1)
    assert invoke(*common, "-o", tmp_path / "whole.zarr").exit_code == 0
    done = invoke(*common, "-o", tmp_path / "pieces.zarr", "--memory", "400MB")
    assert done.exit_code == 0 and "to disk one by one here" in done.output
    whole, pieces = (read_potential(tmp_path / f"{name}.zarr") for name in ("whole", "pieces"))
    assert pieces.record["streamed"] and "streamed" not in whole.record
    assert pieces.grid == whole.grid and pieces.mean_inner_potential == pytest.approx(whole.mean_inner_potential)
    np.testing.assert_allclose(pieces.array, whole.array, atol=2e-5 * np.abs(whole.array).max())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pieces.zarr", "whole.zarr"]


def test_what_does_not_fit_goes_to_disk(tmp_path):
    grid = PeriodicGrid(np.diag([50.0, 50.0, 100.0]), (1000, 1000, 100))  # 0.4 GB of slices, 0.48 GB of planes
    own, other = tmp_path / "v.zarr", tmp_path / "v.h5"
    assert is_streamed(grid, own, 1.3e9, None) and not is_streamed(grid, own, 1.5e9, None)
    assert not is_streamed(grid, other, 1.0e9, None)
    assert is_streamed(grid, own, 1e12, "tcp://somewhere:8786")
    with pytest.raises(InputError, match=r"workers write \.zarr"):
        is_streamed(grid, other, None, "tcp://somewhere:8786")


def test_sources_that_have_no_planes_are_refused(tmp_path):
    done = invoke("potential", "LiF", "--source", "gpaw", "-o", tmp_path / "v.zarr", "--memory", "400MB")
    assert done.exit_code == 2 and "needs --source model" in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []
