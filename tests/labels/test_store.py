import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.density.metrics import treat_near_nuclei
from rhotem.labels.pack import pack, sampled
from rhotem.labels.splits import is_test_parent, parent_of, wanted_whole
from rhotem.labels.store import LabelStore, build


def test_fields_are_treated_and_integrate_to_minus_the_charge(label, tmp_path):
    store = LabelStore.create(tmp_path / "s")
    store.add(label, "a")
    field = LabelStore(tmp_path / "s").deformation("a")
    expected, _ = treat_near_nuclei(label.deformation, label.structure, label.grid)
    assert field == pytest.approx(expected, abs=1e-6)
    assert store.grid("a").integrate(field) == pytest.approx(0.0, abs=1e-4)


def test_sampled_voxels_sit_where_their_values_are(label, tmp_path):
    store = LabelStore.create(tmp_path / "s")
    store.add(label, "a")
    drawn = store.sample("a", 500, np.random.default_rng(0))
    index = np.rint(drawn.positions @ np.linalg.inv(label.structure.cell) * 28).astype(int)
    treated, _ = treat_near_nuclei(label.deformation, label.structure, label.grid)
    assert drawn.deformation == pytest.approx(treated[tuple(index.T)], abs=1e-6)


def test_chosen_voxels_estimate_integrals_of_the_whole_grid(label, tmp_path):
    store = LabelStore.create(tmp_path / "s")
    store.add(sampled(label, 5000), "few")
    store.add(label, "all")
    assert not store.entries["few"].complete
    few, everything = store.table("few"), store.table("all")
    exact = np.abs(everything["deformation"]).sum()
    assert (few["weight"] * np.abs(few["deformation"])).sum() == pytest.approx(exact, rel=0.03)
    with pytest.raises(InputError, match="chosen voxels"):
        store.deformation("few")


def test_unusable_labels_are_listed_and_never_handed_out(label, tmp_path):
    label.write(tmp_path / "good.npz")
    replace(label, meta={**label.meta, "converged": False}).write(tmp_path / "bad.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:3000])
    store, unread = build(tmp_path / "s", [tmp_path])
    assert store.ids == ["good"]
    assert store.entries["bad"].state == "rejected"
    assert "truncated" in unread[str(tmp_path / "cut.npz")]


def test_records_are_only_added(label, tmp_path):
    label.write(tmp_path / "a.npz")
    first, _ = build(tmp_path / "s", [tmp_path])
    before = (tmp_path / "s" / "index.jsonl").read_text()
    label.write(tmp_path / "b.npz")
    second, _ = build(tmp_path / "s", [tmp_path])
    assert second.ids == ["a", "b"]
    assert (tmp_path / "s" / "index.jsonl").read_text().startswith(before)
    assert first.path == second.path


def test_a_line_cut_off_by_a_kill_is_written_again(label, tmp_path):
    label.write(tmp_path / "a.npz")
    build(tmp_path / "s", [tmp_path])
    index = tmp_path / "s" / "index.jsonl"
    index.write_text(index.read_text()[:100])
    store, _ = build(tmp_path / "s", [tmp_path])
    assert store.ids == ["a"]
    assert LabelStore(tmp_path / "s").ids == ["a"]


def test_changed_data_are_found(label, tmp_path):
    store = LabelStore.create(tmp_path / "s")
    store.add(label, "a")
    assert store.damaged() == {}
    path = tmp_path / "s" / "data" / "a.npy"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    assert "checksum" in LabelStore(tmp_path / "s").damaged()["a"]


def test_newer_schema_is_refused(tmp_path):
    LabelStore.create(tmp_path / "s")
    (tmp_path / "s" / "store.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(InputError, match="schema 99"):
        LabelStore(tmp_path / "s")


def test_a_pass_hands_out_every_label_once(label, tmp_path):
    store = LabelStore.create(tmp_path / "s")
    for name in "abcde":
        store.add(label, name)
    batches = list(store.batches(store.ids, 2, 10, np.random.default_rng(0)))
    assert [len(b) for b in batches] == [2, 2, 1]
    assert Counter(name for batch in batches for name, _ in batch) == Counter("abcde")


def test_packing_twice_changes_nothing(label, tmp_path):
    (tmp_path / "raw").mkdir()
    label.write(tmp_path / "raw" / "a.npz")
    first = pack(tmp_path / "raw", tmp_path / "out", whole=False)
    content = (tmp_path / "out" / "voxels" / "a.npz").read_bytes()
    assert first == {"a": "voxels"}
    assert pack(tmp_path / "raw", tmp_path / "out", whole=True) == {"a": "kept"}
    assert (tmp_path / "out" / "voxels" / "a.npz").read_bytes() == content


def test_whole_grids_are_kept_of_what_is_tested_on():
    def kept(prototype: str, symbols: list[str]) -> list[bool]:
        metas = [{"prototype": prototype, "composition": f"X{n}", "ordering": ""} for n in range(200)]
        assert all(wanted_whole(m, symbols) for m in metas if is_test_parent(parent_of(m)))
        return [wanted_whole(m, symbols) for m in metas if not is_test_parent(parent_of(m))]

    assert not any(kept("perovskite", ["Na", "Mg", "F"])) and not any(kept("li3n", ["Li", "N"]))
    assert 0.4 < np.mean(kept("olivine", ["Li", "Fe", "P", "O"])) < 0.6
