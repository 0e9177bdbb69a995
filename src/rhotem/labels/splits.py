"""Splits: which labels are trained on and which are tested against. Decided by hashes of parents, kept in files.

A *parent* is prototype, composition and ordering; its strained, displaced or charged copies are no new structures. A
parent's side follows from a hash of its name: labels that are added later never move one that is there.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase

from rhotem.core import InputError
from rhotem.labels.fingerprint import COPY, described, leaks

#: Shares of parents in the random split.
TEST, VALIDATION = 0.15, 0.08
#: Share of records held out of training parents that have several: the "rattled copy" column, which never counts.
RATTLED = 0.15
#: Similarity that makes a copy in the splits that keep chemistries, compositions or sizes apart. Polymorphs on one
#: oxygen lattice (spinel and layered LiTi2O4: 0.95) are what those splits are about; COPY would take them for copies.
COPY_OF_ANOTHER_CHEMISTRY = 0.96
#: Chemistries left out of a training as a whole to test on them, and the share of their parents kept whole for that.
LEFT_OUT, WHOLE_OF_CHEMISTRY = {"olivine", "spinel", "graphite"}, 0.5
#: Atoms from which a structure is large, and up to which it is small, in the split by size.
LARGE, SMALL = 14, 8

#: Prototypes of the chemistries that can be left out; "Na" is every structure with sodium. Spinel and olivine contain
#: no element that the rest has not.
CHEMISTRIES: dict[str, tuple[str, ...]] = {
    "olivine": ("olivine", "heterosite"),
    "spinel": ("spinel", "hausmannite", "lithiated-spinel", "LNMO", "Mn2O4"),
    "graphite": ("graphite", "lic6", "lic12", "LiC6", "LiC12", "graphene"),
    "SEI": (
        "LiF", "LiF-vac", "Li2O", "Li2O-vac", "Li2CO3", "Li3N", "Li3PO4", "Li3PO4-vac",
        "antifluorite", "li2o2", "na2o2", "lioh", "li3n", "na3as", "li2co3", "lipf6", "li3po4-beta",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """What a split needs to know of a label; ``higher`` are labels of the same structure in higher states."""

    id: str
    meta: dict[str, Any]
    symbols: tuple[str, ...]
    complete: bool
    atoms: ase.Atoms | None = None
    higher: tuple[str, ...] = ()

    @property
    def parent(self) -> str:
        """Prototype | composition | ordering."""
        return parent_of(self.meta)


def parent_of(meta: dict[str, Any]) -> str:
    """The parent of a label: prototype | composition | ordering."""
    return "|".join(str(meta.get(k, "")) for k in ("prototype", "composition", "ordering"))


def unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on ``text`` only."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2.0**64


def is_test_parent(parent: str) -> bool:
    """Whether the random split tests on this parent."""
    return unit_hash(parent) < TEST


def wanted_whole(meta: dict[str, Any], symbols: list[str]) -> bool:
    """Whether a label may be tested on: a test parent, or half of the parents of the left-out chemistries."""
    parent = parent_of(meta)
    if is_test_parent(parent):
        return True
    return bool(LEFT_OUT & set(chemistries_of(meta, symbols))) and unit_hash(f"whole {parent}") < WHOLE_OF_CHEMISTRY


def chemistries_of(meta: dict[str, Any], symbols: Iterable[str]) -> list[str]:
    """The chemistries a label belongs to, of those that can be left out; an interface to those of both its phases."""
    if "phases" in meta:
        each = [chemistries_of({"prototype": p["prototype"]}, p["elements"]) for p in meta["phases"]]
        return sorted({name for names in each for name in names})
    base = str(meta.get("prototype", "")).split("-slab")[0]
    elements = set(symbols)
    found = [name for name, prototypes in CHEMISTRIES.items() if base in prototypes]
    if base == "rocksalt" and elements == {"Li", "F"}:
        found.append("SEI")
    return found + (["Na"] if "Na" in elements else [])


def random_split(labels: list[Candidate]) -> dict[str, list[str]]:
    """By parent: test parents are new, their prototypes are not (in family)."""
    out: dict[str, list[str]] = {"train": [], "validation": [], "test": [], "rattled": []}
    train = [x for x in labels if unit_hash(x.parent) >= TEST + VALIDATION]
    count: dict[str, int] = {}
    for x in train:
        count[x.parent] = count.get(x.parent, 0) + 1
    prototypes = {x.meta.get("prototype") for x in train}
    for x in labels:
        u = unit_hash(x.parent)
        if u < TEST:
            # A test structure of a new prototype is not "in family"; one without its full grid cannot be tested on.
            if x.complete and x.meta.get("prototype") in prototypes:
                out["test"].append(x.id)
        elif u < TEST + VALIDATION:
            out["validation"].append(x.id)
        elif x.complete and count[x.parent] > 2 and unit_hash(f"rattled {x.id}") < RATTLED:
            out["rattled"].append(x.id)
        else:
            out["train"].append(x.id)
    return out


def composition_split(labels: list[Candidate]) -> dict[str, list[str]]:
    """By chemical system without Li and Na: all states of charge of one composition are on one side."""
    out: dict[str, list[str]] = {"train": [], "test": []}
    for x in labels:
        host = "-".join(sorted(set(x.symbols) - {"Li", "Na"})) or "alkali"
        if unit_hash(f"composition {host}") >= 0.2:
            out["train"].append(x.id)
        elif x.complete:
            out["test"].append(x.id)
    return out


def leave_out(labels: list[Candidate], chemistry: str) -> dict[str, list[str]]:
    """All labels of one chemistry are tested on, none of them trained on.

    Raises
    ------
    InputError
        If there is no such chemistry.
    """
    if chemistry != "Na" and chemistry not in CHEMISTRIES:
        raise InputError(f"chemistry {chemistry!r}: not known; choose one of {', '.join([*CHEMISTRIES, 'Na'])}")
    out: dict[str, list[str]] = {"train": [], "test": []}
    for x in labels:
        if chemistry not in chemistries_of(x.meta, x.symbols):
            out["train"].append(x.id)
        elif x.complete:
            out["test"].append(x.id)
    return out


def size_split(labels: list[Candidate]) -> dict[str, list[str]]:
    """Trained on cells of up to 8 atoms, tested on 14 and more."""
    return {
        "train": [x.id for x in labels if len(x.symbols) <= SMALL],
        "test": [x.id for x in labels if len(x.symbols) >= LARGE and x.complete],
    }


def all_splits(labels: list[Candidate]) -> dict[str, dict[str, list[str]]]:
    """Every split by name."""
    return {
        "random": random_split(labels),
        "composition": composition_split(labels),
        "size": size_split(labels),
        **{f"without-{name}": leave_out(labels, name) for name in [*CHEMISTRIES, "Na"]},
    }


def write_splits(directory: Path, labels: list[Candidate]) -> dict[str, dict[str, int]]:
    """Write all splits as files; what a file says already stays, new labels are added. Returns the counts.

    A test structure that looks like one of the training set (`rhotem.labels.fingerprint.leaks`) does not count, and a
    new label that looks like a test structure is not trained on: both go to the part "excluded". So does a label of
    whose structure a lower state is among ``labels``: that one takes its place, whatever its own name says.
    """
    directory.mkdir(parents=True, exist_ok=True)
    counts = {}
    prints = {x.id: described(x.atoms) for x in labels if x.atoms is not None}
    for name, fresh in all_splits(labels).items():
        path = directory / f"{name}.json"
        parts = read_split(path) if path.exists() else {}
        _replace(parts, labels)
        placed = {label for ids in parts.values() for label in ids}
        old_test = [i for i in parts.get("test", []) if i in prints]
        for part, ids in fresh.items():
            parts.setdefault(part, []).extend(i for i in ids if i not in placed)
        threshold = COPY if name == "random" else COPY_OF_ANOTHER_CHEMISTRY
        parts["excluded"] = parts.get("excluded", []) + _leaking(parts, prints, old_test, threshold)
        gone = set(parts["excluded"])
        for part in ("train", "validation", "test"):
            if part in parts:
                parts[part] = [i for i in parts[part] if i not in gone]
        path.write_text(json.dumps({"schema": 1, "name": name, "parts": parts}, indent=0) + "\n")
        counts[name] = {part: len(ids) for part, ids in parts.items()}
    return counts


def _replace(parts: dict[str, list[str]], labels: Iterable[Candidate]) -> None:
    """Put new labels where those of the same structure in higher states are, and these among the excluded."""
    part_of = {name: part for part, ids in parts.items() for name in ids}
    for label in (x for x in labels if x.higher):
        before = {part_of[name] for name in label.higher if name in part_of}
        used = sorted(before - {"excluded"}) or sorted(before)
        if used and label.id not in part_of:
            parts[used[0]].append(label.id)
        for name in label.higher:
            if part_of.get(name, "excluded") != "excluded":
                parts[part_of[name]].remove(name)
                parts.setdefault("excluded", []).append(name)


def _leaking(
    parts: dict[str, list[str]], prints: dict[str, tuple[str, dict]], old_test: list[str], threshold: float
) -> list[str]:
    """Labels to exclude: new training copies of old test structures, then new test structures with a training copy."""

    def known(ids: Iterable[str]) -> dict[str, tuple[str, dict]]:
        return {i: prints[i] for i in ids if i in prints}

    learnt = known(parts["train"] + parts.get("validation", []))
    late = {train for _, train, _ in leaks(learnt, known(old_test), threshold)}
    kept = {i: p for i, p in learnt.items() if i not in late}
    copies = {test for test, _, _ in leaks(kept, known(set(parts["test"]) - set(old_test)), threshold)}
    return sorted(late | copies)


def read_split(path: Path) -> dict[str, list[str]]:
    """Identifiers by part ("train", "validation", "test", "rattled").

    Raises
    ------
    InputError
        If the file is missing or is not a split.
    """
    try:
        return json.loads(path.read_text())["parts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a split file ({error}); make one with  rhotem labels splits") from error
