"""Shards: labels come back as they were but for a rounding that is bounded; what is written never changes."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rhotem.cli.labels import app
from rhotem.core import InputError
from rhotem.labels.listing import listing
from rhotem.labels.members import COARSE, FINE, decode, encode
from rhotem.labels.quality import judge
from rhotem.labels.read import names, read_label, read_shard
from rhotem.labels.shards import add_shard
from rhotem.labels.splits import wanted_whole

DEMO = Path(__file__).parents[2] / "data" / "labels" / "demo"
WHOLE = DEMO.parent / "whole"


@pytest.mark.parametrize("share", [FINE, COARSE])
def test_rounding_is_bounded_everywhere(share):
    spin = next(r for r in map(read_label, sorted(WHOLE.glob("*.npz"))) if r.magnetization is not None)
    again = decode(encode(spin, share))
    for name in ("deformation", "magnetization"):
        before, after = getattr(spin, name).astype(float), getattr(again, name)
        assert np.abs(after - before).max() <= 0.5 * share * np.abs(before).mean() * (1 + 1e-4)
        assert np.abs(after - before).sum() <= 0.26 * share * np.abs(before).sum()
    # Rounding has no sign: electrons are those of before.
    assert again.grid.integrate(again.deformation.astype(float) - spin.deformation) == pytest.approx(0, abs=2e-3)
    assert np.array_equal(again.structure.numbers, spin.structure.numbers)
    assert np.array_equal(again.structure.positions, spin.structure.positions)
    assert np.array_equal(again.structure.cell, spin.structure.cell)
    assert again.structure.charge == spin.structure.charge
    assert np.allclose(again.forces, spin.forces, atol=1e-5, equal_nan=True)
    assert {k: v for k, v in again.meta.items() if k != "schema"} == {
        k: v for k, v in spin.meta.items() if k != "schema"
    }
    assert judge(again) == judge(spin)


def test_shards_are_only_added(tmp_path):
    for path in sorted(DEMO.glob("*.npz"))[:3]:
        (tmp_path / "raw").mkdir(exist_ok=True)
        (tmp_path / "raw" / path.name).write_bytes(path.read_bytes())
    first, outcome = add_shard(tmp_path / "raw", tmp_path / "shards")
    content = first.read_bytes()
    assert first.name == "0001.zip"
    assert set(outcome.values()) == {"added"}
    assert add_shard(tmp_path / "raw", tmp_path / "shards") == (None, dict.fromkeys(outcome, "kept"))
    fourth = sorted(DEMO.glob("*.npz"))[3]
    (tmp_path / "raw" / fourth.name).write_bytes(fourth.read_bytes())
    second, _ = add_shard(tmp_path / "raw", tmp_path / "shards")
    assert second.name == "0002.zip"
    assert names(second) == [fourth.stem]
    assert first.read_bytes() == content
    assert add_shard(tmp_path / "raw", tmp_path / "other")[0].stat().st_size > second.stat().st_size
    assert [label.name for label in read_shard(first, [fourth.stem])] == []


def test_shards_are_listed(tmp_path):
    result = CliRunner().invoke(app, ["shard", str(DEMO), str(tmp_path / "shards")])
    assert result.exit_code == 0
    assert "0001.zip" in result.output
    found = listing([tmp_path / "shards"])
    assert not found.unread
    assert sorted(c.id for c in found.usable) == sorted(p.stem for p in DEMO.glob("*.npz"))
    # test parents whole, of the others some voxels
    assert all(c.complete == wanted_whole(c.meta, list(c.symbols)) for c in found.usable)
    assert {c.complete for c in found.usable} == {True, False}


def test_damaged_shards_are_refused_in_one_line(tmp_path):
    shard, _ = add_shard(DEMO, tmp_path)
    content = bytearray(shard.read_bytes())
    (tmp_path / "short.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not a shard"):
        list(read_shard(tmp_path / "short.zip"))
    content[200] ^= 0xFF
    (tmp_path / "flipped.zip").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        list(read_shard(tmp_path / "flipped.zip"))
    assert "damaged" in next(iter(listing([tmp_path / "flipped.zip"]).unread.values()))
