import numpy as np
import pytest
from ase.build import bulk

from rhotem.core import InputError
from rhotem.labels.fingerprint import COPY, described, farthest, fingerprint, leaks, similarity
from rhotem.labels.recipes import Recipe
from rhotem.labels.splits import (
    CHEMISTRIES,
    COPY_OF_ANOTHER_CHEMISTRY,
    Candidate,
    all_splits,
    chemistries_of,
    leave_out,
    read_split,
    write_splits,
)


def label(name: str, recipe: Recipe, complete: bool = True) -> Candidate:
    structure = recipe.build()
    return Candidate(name, structure.info, tuple(structure.atoms.get_chemical_symbols()), complete, structure.atoms)


def some_labels() -> list[Candidate]:
    recipes = []
    for host in ("Co", "Ni", "Mn", "Fe", "Ti", "V", "Al"):
        for alkali in ("Li", "Na"):
            for removed in (0, 1):
                change = {k: v for k, v in (("Co", host), ("Li", alkali)) if k != v}
                remove = {alkali: 1} if removed else {}
                recipes += [
                    Recipe(prototype="o3", supercell=(2, 1, 1), replace=change, remove=remove, rattle=0.05, seed=s)
                    for s in range(2)
                ]
    recipes += [Recipe(prototype="spinel", replace={"Mn": m}) for m in ("Co", "Ni", "Ti")]
    recipes += [Recipe(prototype="olivine"), Recipe(prototype="antifluorite")]
    return [label(f"l{i:03d}", r) for i, r in enumerate(recipes)]


@pytest.fixture(scope="module")
def labels() -> list[Candidate]:
    return some_labels()


def test_copies_have_one_parent_and_parents_one_side(labels):
    by_id = {x.id: x for x in labels}
    assert len({x.parent for x in labels[:2]}) == 1
    parts = all_splits(labels)["random"]
    sides = {part: {by_id[i].parent for i in ids} for part, ids in parts.items() if part != "rattled"}
    assert parts["test"]
    assert not sides["test"] & sides["train"]
    assert not sides["validation"] & sides["train"]
    trained = {by_id[i].meta["prototype"] for i in parts["train"]}
    assert {by_id[i].meta["prototype"] for i in parts["test"]} <= trained


@pytest.mark.parametrize("chemistry", [*CHEMISTRIES, "Na"])
def test_left_out_chemistry_is_nowhere_in_training(labels, chemistry):
    by_id = {x.id: x for x in labels}
    parts = leave_out(labels, chemistry)
    for i in parts["train"]:
        assert chemistry not in chemistries_of(by_id[i].meta, by_id[i].symbols)
        assert chemistry != "Na" or "Na" not in by_id[i].symbols


def test_one_left_out_chemistry_has_no_new_element(labels):
    """Spinel: a failure there cannot be blamed on an element never seen."""
    by_id = {x.id: x for x in labels}
    parts = leave_out(labels, "spinel")
    seen = {s for i in parts["train"] for s in by_id[i].symbols}
    assert parts["test"]
    assert all(set(by_id[i].symbols) <= seen for i in parts["test"])


def test_unknown_chemistry_is_refused(labels):
    with pytest.raises(InputError, match="garnet"):
        leave_out(labels, "garnet")


def test_labels_without_full_grid_are_not_tested_on():
    partial = [label(f"p{i}", Recipe(prototype="spinel", replace={"Mn": m}), False) for i, m in enumerate(("Co", "Ni"))]
    for parts in all_splits(partial).values():
        assert parts["test"] == []


def test_files_never_move_a_label_and_keep_copies_apart(labels, tmp_path):
    write_splits(tmp_path, labels[::2])
    before = {name: read_split(tmp_path / f"{name}.json") for name in all_splits(labels)}
    write_splits(tmp_path, labels)
    prints = {x.id: described(x.atoms) for x in labels}
    for name, parts in before.items():
        after = read_split(tmp_path / f"{name}.json")
        assert set(parts["test"]) <= set(after["test"])
        threshold = COPY if name == "random" else COPY_OF_ANOTHER_CHEMISTRY
        assert leaks(*({i: prints[i] for i in after[part]} for part in ("train", "test")), threshold) == [], name


def test_fingerprint_does_not_see_the_description():
    one = bulk("LiF", "rocksalt", a=4.03)
    cubic = bulk("LiF", "rocksalt", a=4.03, cubic=True)
    turned = cubic.copy()
    turned.rotate(33, (1, 2, 3), rotate_cell=True)
    turned.positions += 0.7
    for other in (cubic, turned, turned[np.random.default_rng(0).permutation(8)]):
        assert similarity(fingerprint(one), fingerprint(other)) == pytest.approx(1.0, abs=1e-9)


def test_rattled_and_strained_copies_are_recognised():
    for prototype in ("olivine", "spinel", "o3", "li3po4-beta"):
        one = fingerprint(Recipe(prototype=prototype).build().atoms)
        for seed in range(3):
            copy = Recipe(prototype=prototype, rattle=0.06, strain=0.02, seed=seed).build().atoms
            assert similarity(one, fingerprint(copy)) > COPY


def test_a_rattled_copy_in_training_is_found():
    test = Recipe(prototype="olivine").build().atoms
    copy = Recipe(prototype="olivine", rattle=0.05, seed=3).build().atoms
    other = Recipe(prototype="heterosite").build().atoms
    found = leaks({"copy": described(copy), "other": described(other)}, {"test": described(test)})
    assert [(t, c) for t, c, _ in found] == [("test", "copy")]


def test_farthest_points_avoid_copies():
    atoms = [Recipe(prototype="o3", rattle=0.03, seed=s).build().atoms for s in range(4)]
    atoms += [Recipe(prototype=p).build().atoms for p in ("graphite", "rutile")]
    prints = [fingerprint(a) for a in atoms]
    assert set(farthest(prints[:1], prints[1:], 2)) == {3, 4}


def test_an_interface_belongs_to_the_chemistries_of_both_phases():
    meta = {
        "prototype": "interface",
        "phases": [{"prototype": "rocksalt", "elements": ["F", "Li"]}, {"prototype": "lic6", "elements": ["C", "Li"]}],
    }
    assert chemistries_of(meta, ["Li", "F", "C"]) == ["SEI", "graphite"]
    meta["phases"] = [{"prototype": "rocksalt", "elements": ["Mg", "O"]}, {"prototype": "bcc", "elements": ["Na"]}]
    assert chemistries_of(meta, ["Mg", "O", "Na"]) == ["Na"]
