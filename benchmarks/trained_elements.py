"""Compounds of elements that few labels have, held out of training: errors by kind, beside weights from before.

    python benchmarks/trained_elements.py MODEL BEFORE [SPLIT.json]     tables of docs/model.md

BEFORE never saw these elements: what it makes of them is what relatives know. Nothing is left free in either.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, median
from typing import Any

from rhotem.labels.label import Label
from rhotem.labels.read import read_labels
from rhotem.labels.splits import read_split
from rhotem.learned.model import load_model
from rhotem.training.evaluate import evaluate_label

ROOT = Path(__file__).parents[1]
SHARDS = ROOT / "data" / "labels" / "shards"
SPLIT = ROOT / "data" / "training" / "split-elements.json"
METRICS = ("deformation_error", "potential_error_ratio")
#: Kinds of compounds by the element that takes the electrons, in this order.
TAKERS = {
    "halides": (9, 17, 35, 53),
    "oxides": (8,),
    "chalcogenides": (16, 34, 52),
    "nitrides, pnictides, carbides": (7, 15, 33, 51, 6, 14, 32, 5),
}
#: Elements whose solids and molecules are no metals.
NONMETALS = {1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 32, 33, 34, 35, 51, 52, 53, 83}


def kind(label: Label) -> str:
    """What a compound is."""
    elements = set(label.structure.numbers.tolist())
    if "molecule" in label.family:
        return "molecules"
    if len(elements) == 1:
        return "non-metals and semimetals" if elements <= NONMETALS else "metals"
    return next((name for name, takers in TAKERS.items() if elements & set(takers)), "alloys")


def main(name: str, before: str, split: str = str(SPLIT)) -> None:
    labels = list(read_labels([SHARDS], read_split(Path(split))["elements"]))
    found = {which: errors(which, labels) for which in (before, name)}
    print("| compound | structure | Δn, before | now | potential, before | now |\n|---|---|---|---|---|---|")
    for i in sorted(range(len(labels)), key=lambda i: found[name][i]["deformation_error"]):
        row = found[name][i]
        cells = [f"{found[w][i][c]:.2f}" for c in METRICS for w in (before, name)]
        print(f"| {row['formula']} | {row['family']} | {' | '.join(cells)} |")
    print("\n| kind | n | Δn, before | now | potential, before | now |\n|---|---|---|---|---|---|")
    kinds = [kind(label) for label in labels]
    known = set(load_model(before)[0].settings.elements)
    new = [not set(label.structure.numbers.tolist()) <= known for label in labels]
    groups = {k: [own == k and n for own, n in zip(kinds, new, strict=True)] for k in sorted(set(kinds))}
    groups = {k: rows for k, rows in groups.items() if any(rows)}
    groups["compounds of new elements"] = [
        n and k not in ("metals", "molecules", "non-metals and semimetals") for k, n in zip(kinds, new, strict=True)
    ]
    groups["all of new elements"] = new
    groups["molecules of known elements"] = [not n for n in new]
    for title, rows in groups.items():
        cells = [summary(found[w][i][c] for i, use in enumerate(rows) if use) for c in METRICS for w in (before, name)]
        print(f"| {title} | {sum(rows)} | " + " | ".join(cells) + " |")


def errors(name: str, labels: list[Label]) -> list[dict[str, Any]]:
    """Metrics of every label, predicted with nothing left free."""
    model, _ = load_model(name)
    model.newcomers = None
    return [evaluate_label(model, label) for label in labels]


def summary(values: Iterable[float]) -> str:
    """Mean and median."""
    given = [v for v in values if v is not None]
    return f"{fmean(given):.3f} ({median(given):.3f})" if given else "–"


if __name__ == "__main__":
    main(*sys.argv[1:])
