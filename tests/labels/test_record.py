import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.labels.npz import write_npz
from rhotem.labels.pack import sampled
from rhotem.labels.read import read_label


@pytest.mark.parametrize("compact", [False, True])
def test_round_trip_keeps_float16_exactly(label, tmp_path, compact):
    write_npz(label, tmp_path / "a.npz", compact=compact)
    back = read_label(tmp_path / "a.npz")
    assert np.array_equal(back.deformation, label.deformation.astype(np.float16))
    assert np.array_equal(back.structure.positions, label.structure.positions)
    assert back.meta["prototype"] == "rocksalt"


def test_plain_form_is_that_of_the_design(label, tmp_path):
    write_npz(label, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as data:
        assert {"numbers", "positions", "cell", "deformation", "forces", "magmoms", "charge", "meta"} <= set(data.files)
        assert data["deformation"].shape == (28, 28, 28)


def test_chosen_voxels_carry_the_values_of_the_grid_they_came_from(label, tmp_path):
    """Weights must make the sum over chosen voxels an unbiased estimate of the integral of |Δn|."""
    record = sampled(label, 4000)
    write_npz(record, tmp_path / "a.npz", compact=True)
    back = read_label(tmp_path / "a.npz")
    assert back.grid.shape == (28, 28, 28)
    assert np.array_equal(back.voxels.index, record.voxels.index)
    full = np.abs(label.deformation).sum()
    estimate = (back.voxels.weight * np.abs(back.deformation.astype(float))).sum()
    assert estimate == pytest.approx(full, rel=0.03)
    assert len(back.deformation) == pytest.approx(4000, rel=0.06)


def test_truncated_file_is_refused_with_its_name(label, tmp_path):
    path = tmp_path / "cut.npz"
    write_npz(label, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cut\.npz.*truncated"):
        read_label(path)


def test_nothing_half_written_is_left(label, tmp_path, monkeypatch):
    def broken(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", broken)
    with pytest.raises(OSError, match="disk full"):
        write_npz(label, tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []
