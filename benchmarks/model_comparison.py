"""Two sets of weights on the same held-out labels, cell by cell: whether one got worse.

    python benchmarks/model_comparison.py MODEL BEFORE SPLIT.json [OLDER_SPLIT.json]

With an older split also what both make of the cells that were held out in it, and of those that came later.
"""

import sys
from pathlib import Path
from statistics import fmean, median

import numpy as np

from rhotem.labels.splits import read_split
from rhotem.learned.model import load_model
from rhotem.training.dataset import read_labels
from rhotem.training.evaluate import evaluate_label

LABELS = [Path(__file__).parents[1] / "data" / "labels" / kind for kind in ("whole", "voxels", "shards")]
METRICS = ("deformation_error", "potential_error_ratio")


def main(name: str, before: str, split: str, older: str = "") -> None:
    parts = read_split(Path(split))
    models = [load_model(which)[0] for which in (before, name)]
    print("| part | n | Δn, before | now | cell by cell, % | potential, before | now | cell by cell, % |")
    print("|---|---|---|---|---|---|---|---|")
    for part in ("test", "validation", "rattled"):
        labels = read_labels(LABELS, wanted=parts[part])
        found = [[evaluate_label(model, label) for label in labels] for model in models]
        show(part, found)
        if older:
            old = set(read_split(Path(older))[part])
            for title, wanted in (("there before", True), ("new then", False)):
                rows = [i for i, label in enumerate(labels) if (label.name in old) == wanted]
                if 0 < len(rows) < len(labels):
                    show(f"{part}: {title}", [[each[i] for i in rows] for each in found])
        for family in sorted({row["family"] for row in found[0]} & {"interface"}):
            show(f"{part}: {family}", [[row for row in each if row["family"] == family] for each in found])


def show(title: str, found: list[list[dict]]) -> None:
    """Mean (median) before and now, and the geometric mean of their ratio with its standard error."""
    cells = []
    for metric in METRICS:
        values = np.array([[row[metric] or np.nan for row in each] for each in found])
        values = values[:, np.isfinite(values).all(0)]
        if not values.size:  # labels of chosen voxels alone do not tell their potential
            cells += ["–"] * 3
            continue
        ratio = np.log(values[1] / values[0])
        cells += [f"{fmean(v):.3f} ({median(v):.3f})" for v in values.tolist()]
        error = ratio.std(ddof=1) / np.sqrt(len(ratio)) if len(ratio) > 1 else np.nan
        cells.append(f"{100 * np.expm1(ratio.mean()):+.0f} ± {100 * error:.0f}")
    print(f"| {title} | {len(found[0])} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
