"""Which labels are trained on, tested in family, or belong to an unseen chemistry."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rhotem.core import InputError
from rhotem.models.config import DataSettings
from rhotem.models.dataset import Label


@dataclass(frozen=True)
class Split:
    """Labels by use. ``family``: parents held out of prototypes that are trained on; ``unseen``: whole prototypes."""

    train: list[Label]
    family: list[Label]
    unseen: list[Label]
    test_parents: list[str]


def split(labels: Sequence[Label], settings: DataSettings, seed: int) -> Split:
    """Split by parent, so that no distorted copy of a tested structure is trained on.

    Labels of suspect spin state are trained on unless their parent is held out; they are never tested on.

    Raises
    ------
    InputError
        If a named parent or family does not occur, or nothing is left to train on.
    """
    families = {label.family for label in labels}
    unknown = [name for name in settings.unseen if name not in families]
    if unknown:
        raise InputError(f"data.unseen: no labels of {', '.join(unknown)}; there are {', '.join(sorted(families))}")
    seen = [label for label in labels if label.family not in settings.unseen]
    held = set(settings.test_parents) or _draw(seen, settings.test_fraction, seed)
    missing = held - {label.parent for label in seen}
    if missing:
        raise InputError(f"data.test_parents: no labels of {', '.join(sorted(missing))}")
    train = [label for label in seen if label.parent not in held]
    left = {label.family for label in train}
    alone = sorted({label.family for label in seen if label.parent in held} - left)
    if alone or not train:
        raise InputError(f"data: nothing left to train on of {', '.join(alone) or 'all families'}; hold out less")
    return Split(
        train=train,
        family=[label for label in seen if label.parent in held and not label.suspect],
        unseen=[label for label in labels if label.family in settings.unseen and not label.suspect],
        test_parents=sorted(held),
    )


def _draw(labels: Sequence[Label], fraction: float, seed: int) -> set[str]:
    """Parents at random, at least one always left of every family."""
    parents = sorted({(label.family, label.parent) for label in labels if not label.suspect})
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
