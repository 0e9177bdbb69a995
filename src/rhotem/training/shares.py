"""Which members see a label, how often it is drawn, and how many labels an element has."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rhotem.labels.label import Label
from rhotem.labels.splits import unit_hash


def deal(labels: Sequence[Label], members: int, share: float, seed: int) -> list[list[int]]:
    """The members trained on every label: each gets a share of the parents, decided by hashes; none gets nothing."""
    parents = sorted({label.parent for label in labels})
    chosen = {p: {k for k in range(members) if unit_hash(f"{seed} {k} {p}") < share} for p in parents}
    empty = set(range(members)) - set().union(*chosen.values())
    return [sorted(chosen[label.parent] | empty) or list(range(members)) for label in labels]


def labels_by_element(labels: Sequence[Label]) -> dict[str, int]:
    """How many labels, trained on or held out, have an element, by atomic number."""
    count = Counter(z for label in labels for z in set(label.structure.numbers.tolist()))
    return {str(z): count[z] for z in sorted(count)}


def drawn_shares(numbers: Sequence[npt.NDArray[np.int64]], balance: float) -> npt.NDArray[np.float64]:
    """Share of the draws of every label, ∝ n^(−balance) with n the labels that have the rarest of its elements."""
    elements = [set(own.tolist()) for own in numbers]
    count = Counter(z for own in elements for z in own)
    shares = np.array([min(count[z] for z in own) for own in elements], dtype=float) ** -balance
    return shares / shares.sum()
