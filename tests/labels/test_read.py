"""One reader for whatever labels lie in; few voxels stand for their grid without bias."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rhotem.core import InputError
from rhotem.density.metrics import score, treat_near_nuclei
from rhotem.labels.label import Label
from rhotem.labels.listing import listing
from rhotem.labels.members import decode, encode, encode_few
from rhotem.labels.npz import write_npz
from rhotem.labels.pack import pack, sampled
from rhotem.labels.read import names, places, read_label, read_labels
from rhotem.labels.score import score_label
from rhotem.labels.shards import add_shard
from rhotem.labels.splits import is_test_parent, parent_of, wanted_whole
from rhotem.labels.voxels import EVEN, choose_few, spread
from rhotem.labels.waves import kept_indices, plane_indices

DATA = Path(__file__).parents[2] / "data" / "labels"
WHOLE = DATA / "whole"


@pytest.fixture(scope="module")
def magnetic() -> Label:
    return next(x for x in map(read_label, sorted(WHOLE.glob("*.npz"))) if x.magnetization is not None)


def test_even_voxels_follow_from_a_rule_in_whole_numbers():
    """The additive sequence of Roberts in exact arithmetic: no digit of any computer is in it."""
    import hashlib

    shape, name = (7, 11, 13), "a label"
    digest = hashlib.sha256(name.encode()).digest()
    offsets = [int.from_bytes(digest[8 * i : 8 * i + 8], "big") for i in range(3)]
    # powers of 1/x with x^4 = x + 1, in units of 2^-64
    root = 1.2207440846057594753616853491088
    steps = [15111065706836454659, 12378569675163806722, 10140184033053478359]
    assert [s / 2**64 for s in steps] == pytest.approx([root**-1, root**-2, root**-3], abs=1e-15)
    expected: list[int] = []
    k = 0
    while len(expected) < 300:
        i, j, l = ((((o + k * s) % 2**64) >> 32) * n >> 32 for o, s, n in zip(offsets, steps, shape, strict=True))
        flat = (i * shape[1] + j) * shape[2] + l
        if flat not in expected:
            expected.append(flat)
        k += 1
    assert spread(shape, 300, name).tolist() == expected
    # every eighth of the cell has its share: χ² of random numbers is 7
    octants = np.bincount(np.stack(np.unravel_index(spread((64, 64, 64), 800, name), (64,) * 3), 1) // 32 @ [4, 2, 1])
    assert ((octants - 100.0) ** 2 / 100.0).sum() < 2.0
    assert sorted(spread((2, 3, 4), 99, name)) == list(range(24))


def test_few_voxels_estimate_sums_over_the_grid(magnetic):
    """Means over many choices agree with the sums over the whole grid within their standard errors."""
    grid, values = magnetic.grid, magnetic.treated.astype(np.float16)
    wave = np.cos(2 * np.pi * np.arange(grid.shape[0]) / grid.shape[0])[:, None, None] * np.ones(grid.shape)
    functions = {"1": np.ones(grid.shape), "|Δn|": np.abs(values.astype(float)), "Δn cos": values.astype(float) * wave}
    found: dict[str, list[float]] = {name: [] for name in functions}
    for seed in range(60):
        few = choose_few(values, f"choice {seed}", 1500)
        assert len(set(few.index.tolist())) == len(few.index) and few.even == round(EVEN * 1500)
        weight = few.weight(values.ravel()[few.index], grid.size).astype(float)
        for name, function in functions.items():
            found[name].append((weight * function.ravel()[few.index]).sum() / grid.size)
    for name, function in functions.items():
        error = np.std(found[name]) / np.sqrt(len(found[name]))
        assert np.mean(found[name]) == pytest.approx(function.mean(), abs=4 * error + 1e-12)
    assert np.std(found["|Δn|"]) < 0.02 * functions["|Δn|"].mean()


def test_a_label_of_few_voxels_is_small_and_exact_where_it_is_kept(magnetic):
    content = encode_few(magnetic, "x")
    back = decode(content)
    assert len(content) < 40_000
    assert not back.complete and back.grid.shape == magnetic.grid.shape
    rows = back.voxels.index
    assert np.array_equal(back.treated, magnetic.treated.astype(np.float16).ravel()[rows].astype(float))
    spin = magnetic.treated_magnetization.astype(np.float16).ravel()[rows]
    assert np.array_equal(back.treated_magnetization, spin.astype(float))
    assert back.absolute_mean == pytest.approx(magnetic.absolute_mean, rel=1e-12)
    assert np.array_equal(back.structure.positions, magnetic.structure.positions)
    assert (back.family, back.parent, back.chemistries) == (magnetic.family, magnetic.parent, magnetic.chemistries)
    assert back.moment == magnetic.moment
    assert encode_few(magnetic, "x") == content
    # coefficients by the definition, (1/N) Σ Δn exp(−2πi h·x), h within |g| < 2/Å in the planes and below 0.5/Å around
    h = kept_indices(magnetic.grid)
    g = np.linalg.norm(h @ np.linalg.inv(magnetic.structure.cell).T, axis=1)
    assert ((h == 0).any(1) | (g < 0.5 + 1e-6)).all() and g.max() < 2.0 + 1e-6
    some = np.concatenate([h[:: len(h) // 7], -h[:3]])
    x = np.stack(np.unravel_index(np.arange(magnetic.grid.size), magnetic.grid.shape), 1) / magnetic.grid.shape
    direct = np.array([(magnetic.treated.ravel() * np.exp(-2j * np.pi * (x @ one))).mean() for one in some])
    assert np.abs(back.coefficients(some) - direct).max() < 1e-4 * np.abs(direct).max() + 1e-9
    with pytest.raises(InputError, match="not kept"):
        back.coefficients(np.array([[50, 50, 50]]))


def test_scores_of_few_voxels_are_those_of_the_grid(magnetic):
    predicted = 0.7 * magnetic.treated + 0.1 * np.roll(magnetic.treated, 3, axis=0)
    exact = score(predicted, magnetic.treated, magnetic.structure, magnetic.grid)
    found = score_label(predicted, decode(encode_few(magnetic, "y")))
    assert found.deformation_error == pytest.approx(exact.deformation_error, rel=0.05)
    assert found.potential_error_ratio == pytest.approx(exact.potential_error_ratio, rel=1e-3)
    assert found.free_atoms_nmae_valence_percent == pytest.approx(exact.free_atoms_nmae_valence_percent, rel=1e-9)


def test_estimated_coefficients_have_no_bias(magnetic):
    """With a guess that is exact but for a tenth, the noise is a tenth, too."""
    h = plane_indices(magnetic.grid)
    exact = magnetic.coefficients(h)
    plain, sharp = [], []
    for seed in range(30):
        few = decode(encode_few(magnetic, f"{seed}"))
        values = few.estimated_coefficients(h, few.treated)
        guess = 0.9 * few.treated
        plain.append(values - exact)
        sharp.append(0.9 * exact + few.estimated_coefficients(h, few.treated - guess) - exact)
    size = np.sqrt((np.abs(exact) ** 2).sum())
    noise = [np.sqrt((np.abs(x) ** 2).sum(1).mean()) / size for x in (plain, sharp)]
    assert noise[1] == pytest.approx(0.1 * noise[0], rel=1e-2)
    assert np.sqrt((np.abs(np.mean(plain, 0)) ** 2).sum()) / size < 3 * noise[0] / np.sqrt(30)


def test_fields_are_treated_and_integrate_to_minus_the_charge(label):
    expected, _ = treat_near_nuclei(label.deformation, label.structure, label.grid)
    assert np.array_equal(label.treated, expected)
    assert label.grid.integrate(label.treated) == pytest.approx(0.0, abs=1e-12)
    index, values = label.evenly(500, np.random.default_rng(0))
    assert np.array_equal(values, expected.ravel()[index])
    few = sampled(label, 5000)
    index, values = few.evenly(500, np.random.default_rng(0))
    assert values == pytest.approx(expected.ravel()[index], abs=1e-6)
    with pytest.raises(InputError, match="no Fourier coefficients"):
        few.coefficients(np.array([[1, 0, 0]]))


def test_unusable_labels_are_listed_and_never_handed_out(label, tmp_path):
    write_npz(label, tmp_path / "good.npz")
    write_npz(replace(label, meta={**label.meta, "converged": False}), tmp_path / "bad.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:3000])
    found = listing([tmp_path])
    assert [c.id for c in found.usable] == ["good"]
    assert found.verdicts["bad"].state == "rejected"
    assert "truncated" in found.unread[str(tmp_path / "cut.npz")]


def test_packing_twice_changes_nothing(label, tmp_path):
    (tmp_path / "raw").mkdir()
    write_npz(label, tmp_path / "raw" / "a.npz")
    assert pack(tmp_path / "raw", tmp_path / "out", whole=False) == {"a": "voxels"}
    content = (tmp_path / "out" / "voxels" / "a.npz").read_bytes()
    assert pack(tmp_path / "raw", tmp_path / "out", whole=True) == {"a": "kept"}
    assert (tmp_path / "out" / "voxels" / "a.npz").read_bytes() == content


def test_whole_grids_are_kept_of_what_is_tested_on():
    def kept(prototype: str, symbols: list[str]) -> list[bool]:
        metas = [{"prototype": prototype, "composition": f"X{n}", "ordering": ""} for n in range(200)]
        assert all(wanted_whole(m, symbols) for m in metas if is_test_parent(parent_of(m)))
        return [wanted_whole(m, symbols) for m in metas if not is_test_parent(parent_of(m))]

    assert not any(kept("perovskite", ["Na", "Mg", "F"])) and not any(kept("li3n", ["Li", "N"]))
    assert 0.4 < np.mean(kept("olivine", ["Li", "Fe", "P", "O"])) < 0.6


def test_files_shards_and_folders_are_read_alike(tmp_path):
    files = sorted((DATA / "demo").glob("*.npz"))[:3]
    (tmp_path / "raw").mkdir()
    for file in files[:2]:
        (tmp_path / "raw" / file.name).write_bytes(file.read_bytes())
    shard, _ = add_shard(tmp_path / "raw", tmp_path / "shards")
    (tmp_path / "raw" / files[0].name).unlink()
    (tmp_path / "raw" / files[2].name).write_bytes(files[2].read_bytes())
    sources = [tmp_path / "raw", tmp_path / "shards"]
    labels = {x.name: x for x in read_labels(sources)}
    assert sorted(labels) == sorted(f.stem for f in files)
    assert labels[files[1].stem].complete  # of two of one name the first place counts
    assert sorted(names(shard)) == sorted(f.stem for f in files[:2])
    one = read_label(shard / files[0].stem)
    assert np.array_equal(one.structure.numbers, read_label(files[0]).structure.numbers)
    assert [x.name for x in read_labels(sources, wanted=[files[0].stem])] == [files[0].stem]
    for wrong, message in (
        (tmp_path / "nowhere", "not there"),
        (shard / "nobody", "no label nobody"),
        (shard, "a shard of many labels"),
    ):
        with pytest.raises(InputError, match=message):
            read_label(wrong) if wrong != tmp_path / "nowhere" else places([wrong])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no npz files or shards"):
        list(read_labels([tmp_path / "empty"]))


def test_a_manifest_says_what_files_of_the_first_set_do_not(label, tmp_path):
    write_npz(replace(label, meta={}), tmp_path / "00001.npz")
    (tmp_path / "manifest.csv").write_text("file,family,suspect_spin\n00001.npz,olivine,1\n")
    read = read_label(tmp_path / "00001.npz")
    assert (read.family, read.suspect, read.chemistries) == ("olivine", True, ("olivine",))


def test_members_of_a_newer_format_are_refused(magnetic, tmp_path, monkeypatch):
    import zipfile

    from rhotem.labels import members

    with monkeypatch.context() as later, zipfile.ZipFile(tmp_path / "0001.zip", "w") as archive:
        later.setattr(members, "SCHEMA", 99)
        archive.writestr("a", encode(magnetic, 0.04))
    with pytest.raises(InputError, match="schema 99"):
        list(read_labels([tmp_path / "0001.zip"]))


def test_labels_of_the_split_that_is_trained_on_are_in_the_repository():
    """A fresh clone trains on what the shipped weights were trained on."""
    parts = json.loads((DATA.parent / "training" / "split.json").read_text())["parts"]
    known = places([WHOLE, DATA / "voxels", DATA / "shards"])
    used = [name for part in ("train", "validation", "test", "rattled") for name in parts[part]]
    assert len(parts["train"]) == 500 and [name for name in used if name not in known] == []
