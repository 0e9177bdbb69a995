"""`rhotem potential` to disk: chosen when slices do not fit, the same slices, refused where it cannot be."""

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.analysis import where
from rhotem.analysis.where import Means, place_of_potential
from rhotem.cli.main import app
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
    assert place_of_potential(grid, own, Means(1.3e9)) == "disk"
    assert place_of_potential(grid, own, Means(1.5e9)) == "memory"
    assert place_of_potential(grid, other, Means(1.0e9)) == "memory"
    assert place_of_potential(grid, own, Means(1e12, "tcp://somewhere:8786")) == "cluster"
    with pytest.raises(InputError, match=r"workers write \.zarr"):
        place_of_potential(grid, other, Means(None, "tcp://somewhere:8786"))


def test_sources_that_have_no_planes_are_refused(tmp_path):
    done = invoke("potential", "LiF", "--source", "gpaw", "-o", tmp_path / "v.zarr", "--memory", "400MB")
    assert done.exit_code == 2 and "needs --source model" in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []


IMAGE = ("image", "LiF", "--keep-cell", "--thickness", 1.2, "--detector", "HAADF=40-70", "--detector", "ABF=11-22")


@pytest.fixture
def too_large(monkeypatch):
    """As if nothing fitted into memory."""
    monkeypatch.setattr(where, "fits", lambda *sizes: False)


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--phonons", 2), ("--preset", "saed", "--phonons", 0)])
def test_images_through_slices_on_disk_are_those_in_memory(tmp_path, monkeypatch, more):
    import zarr

    given = IMAGE if "saed" not in more else IMAGE[:5]
    common = (*given, *more, "--source", "model:fast")
    assert invoke(*common, "--out", tmp_path / "whole").exit_code == 0
    monkeypatch.setattr(where, "fits", lambda *sizes: False)
    done = invoke(*common, "--out", tmp_path / "disk")
    assert done.exit_code == 0, done.output
    assert "to disk one by one here" in done.output
    assert done.output.index("seen along") < done.output.index("potential ") < done.output.index("density ")
    whole, disk = (zarr.open_group(str(tmp_path / name / "images.zarr"), mode="r") for name in ("whole", "disk"))
    assert sorted(whole.array_keys()) == sorted(disk.array_keys())
    for name in whole.array_keys():
        expected = np.asarray(whole[name])
        np.testing.assert_allclose(np.asarray(disk[name]), expected, atol=1e-4 * np.abs(expected).max())
    assert "on disk" in (tmp_path / "disk" / "record.json").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["disk", "whole"]


@pytest.mark.slow
def test_error_bars_through_slices_on_disk_are_those_in_memory(tmp_path, monkeypatch):
    import zarr

    common = (*IMAGE, "--phonons", 0, "--source", "model", "--uncertainty")
    assert invoke(*common, "--out", tmp_path / "whole").exit_code == 0
    monkeypatch.setattr(where, "fits", lambda *sizes: False)
    done = invoke(*common, "--out", tmp_path / "disk")
    assert done.exit_code == 0, done.output
    assert "slices on disk one after another" in done.output
    whole, disk = (
        zarr.open_group(str(tmp_path / name / "uncertainty" / "images.zarr"), mode="r") for name in ("whole", "disk")
    )
    expected, got = ({name: np.asarray(group[name]) for name in ("HAADF", "ABF")} for group in (whole, disk))
    # one factor widens all: it is estimated at random points, others in the block than in the cell
    factor = got["HAADF"].sum() / expected["HAADF"].sum()
    assert 0.8 < factor < 1.25
    for name, values in expected.items():
        np.testing.assert_allclose(got[name] / factor, values, atol=1e-2 * values.max())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["disk", "whole"]


@pytest.mark.slow
def test_images_with_slices_made_by_a_cluster(tmp_path):
    distributed = pytest.importorskip("distributed")
    common = (*IMAGE, "--source", "free-atoms", "--phonons", 1, "--quiet")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": "ERROR"}
    with distributed.LocalCluster(**options) as cluster:
        done = invoke(*common, "--scheduler", cluster.scheduler_address, "--out", tmp_path / "there")
    assert done.exit_code == 0, done.output
    assert invoke(*common, "--out", tmp_path / "here").exit_code == 0
    there, here = ((tmp_path / name / "HAADF.tif").read_bytes()[-4000:] for name in ("there", "here"))
    values = [np.frombuffer(content, dtype=np.float32) for content in (there, here)]
    np.testing.assert_allclose(*values, rtol=1e-4)


def test_an_interrupted_image_leaves_nothing(tmp_path, too_large, monkeypatch):
    from rhotem.microscope import simulate

    seen = []

    def interrupted(*arguments, **options):
        seen.extend(p.name for p in tmp_path.rglob("potential-0.zarr"))
        raise KeyboardInterrupt

    monkeypatch.setattr(simulate, "_engine", interrupted)
    done = invoke(*IMAGE, "--source", "free-atoms", "--phonons", 0, "--out", tmp_path / "out")
    assert done.exit_code == 130 and seen == ["potential-0.zarr"]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_go_through_the_disk_is_said_before(tmp_path, too_large):
    out = ("--out", tmp_path / "out")
    bars = invoke(*IMAGE, "--source", "free-atoms", "--uncertainty", *out)
    assert bars.exit_code == 2 and "has no ensemble" in " ".join(bars.output.split())
    source = invoke(*IMAGE, "--source", "gpaw", "--scheduler", "tcp://somewhere:8786", *out)
    assert source.exit_code == 2 and "needs --source model or free-atoms" in " ".join(source.output.split())
    assert list(tmp_path.iterdir()) == []


def test_a_density_goes_to_disk_plane_by_plane(tmp_path, monkeypatch):
    """Where it does not fit; the same numbers as in memory."""
    from rhotem.density.files import read_density

    common = ("density", "LiF", "--source", "free-atoms", "--spacing", 0.2)
    assert invoke(*common, "-o", tmp_path / "whole.zarr").exit_code == 0
    monkeypatch.setattr(where, "fits", lambda *sizes: False)
    done = invoke(*common, "-o", tmp_path / "planes.zarr")
    assert done.exit_code == 0, done.output
    assert "to disk plane by plane here" in done.stderr and "total density of LiF from free atoms" in done.stdout
    whole, planes = (read_density(tmp_path / f"{name}.zarr").values for name in ("whole", "planes"))
    np.testing.assert_allclose(planes, whole, atol=1e-9 * whole.max())
    assert invoke(*common, "-o", tmp_path / "c.cube").exit_code == 0  # other formats: in memory
    refused = invoke(*common, "-o", tmp_path / "v.zarr", "--charges", "--scheduler", "tcp://somewhere:8786")
    assert refused.exit_code == 2 and "no --charges" in " ".join(refused.output.split())
