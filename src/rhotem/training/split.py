"""Which labels are trained on, tested in family, or belong to an unseen chemistry."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rhotem.core import InputError
from rhotem.labels.label import Label
from rhotem.labels.splits import read_split
from rhotem.training.config import DataSettings


@dataclass(frozen=True)
class Split:
    """Labels by use.

    ``family``: parents held out of prototypes that are trained on; ``unseen``: whole chemistries; ``validation``: other
    held-out parents, to watch and to calibrate with; ``rattled``: held-out copies of structures that are trained on;
    ``elements``: held-out parents of elements that few labels have, and molecules;
    ``excluded``: what the file of a split keeps out of all of these; ``missing``: names that it trains or tests on and
    no label has.
    """

    train: list[Label]
    family: list[Label]
    unseen: list[Label]
    validation: list[Label] = field(default_factory=list)
    rattled: list[Label] = field(default_factory=list)
    excluded: list[Label] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    elements: list[Label] = field(default_factory=list)

    @property
    def held_out(self) -> dict[str, list[Label]]:
        """Everything that is not trained on, by name."""
        parts = {"family": self.family, "validation": self.validation, "rattled": self.rattled, "unseen": self.unseen}
        parts["elements"] = self.elements
        return {name: labels for name, labels in parts.items() if labels}

    @property
    def test_parents(self) -> list[str]:
        """Parents tested on in family."""
        return sorted({label.parent for label in self.family})


def split(labels: Sequence[Label], settings: DataSettings, seed: int) -> Split:
    """Split by parent, so that no distorted copy of a tested structure is trained on.

    Labels of suspect spin state are neither trained nor tested on.

    Raises
    ------
    InputError
        If a named parent, family or chemistry does not occur, or nothing is left to train on.
    """
    trusted = [label for label in labels if not label.suspect]
    known = {name for label in trusted for name in (label.family, *label.chemistries)}
    unknown = [name for name in settings.unseen if name not in known]
    if unknown:
        raise InputError(f"data.unseen: no labels of {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    left_out = set(settings.unseen)
    unseen = [label for label in trusted if left_out & {label.family, *label.chemistries}]
    seen = [label for label in trusted if not left_out & {label.family, *label.chemistries}]
    if settings.split:
        return _from_file(seen, unseen, {x.name for x in labels if x.suspect}, settings.split)
    held = set(settings.test_parents) or _draw(seen, settings.test_fraction, seed)
    missing = held - {label.parent for label in seen}
    if missing:
        raise InputError(f"data.test_parents: no labels of {', '.join(sorted(missing))}")
    train = [label for label in seen if label.parent not in held]
    left = {label.family for label in train}
    alone = sorted({label.family for label in seen if label.parent in held} - left)
    if alone or not train:
        raise InputError(f"data: nothing left to train on of {', '.join(alone) or 'all families'}; hold out less")
    return Split(train, [label for label in seen if label.parent in held], unseen)


def _from_file(seen: list[Label], unseen: list[Label], suspect: Collection[str], path: str) -> Split:
    parts = read_split(Path(path))

    def chosen(part: str) -> list[Label]:
        names = set(parts.get(part, []))
        return [label for label in seen if label.name in names]

    if not chosen("train"):
        raise InputError(f"data.split {path}: none of the labels is in its part 'train'; make it with their store")
    known = {label.name for label in (*seen, *unseen)} | set(suspect)
    used = (name for part, ids in parts.items() if part != "excluded" for name in ids)
    missing = sorted(set(used) - known)
    validation, rattled, excluded = (chosen(part) for part in ("validation", "rattled", "excluded"))
    return Split(chosen("train"), chosen("test"), unseen, validation, rattled, excluded, missing, chosen("elements"))


def _draw(labels: Sequence[Label], fraction: float, seed: int) -> set[str]:
    """Parents at random, at least one always left of every family."""
    parents = sorted({(label.family, label.parent) for label in labels})
    left = Counter(family for family, _ in parents)
    order = np.random.default_rng(seed).permutation(len(parents))
    held: set[str] = set()
    for index in order:
        family, parent = parents[index]
        if len(held) >= round(fraction * len(parents)):
            break
        if left[family] > 1:
            left[family] -= 1
            held.add(parent)
    return held
