"""How good are the error bars? Coverage, log score, rank correlation and novelty, on labels a model was not trained on.

    python benchmarks/uncertainty.py RUN

RUN is the folder of a training run; its held-out labels are measured, and labels made since that are new parents of
known elements. Every family is measured with error bars calibrated on the other families, chemistries that the run left
out (`data.unseen`) with error bars calibrated on everything else: training, calibration and test are disjoint.
A chemistry can be left out of the novelty alone, without training anew, where the encoder is pretrained: its features
do not depend on what was trained on.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from rhotem.labels.splits import CHEMISTRIES
from rhotem.models.calibrate import (
    HeldOut,
    foretold,
    left_out_one_by_one,
    measure,
    novelty_report,
    quality,
    run_labels,
)
from rhotem.models.checkpoint import find_model
from rhotem.models.novelty import atom_features, auroc, learn_from_features, of_structure
from rhotem.models.training.dataset import Label
from rhotem.models.uncertainty import CONSTANT, DISTANCE, conformal_factor, fingerprint, fit


def rows_of_unseen(found: Sequence[HeldOut], unseen: set[str]) -> dict[str, dict[str, Any]]:
    """Families of chemistries that were left out, with error bars calibrated on all others."""
    others = [f.voxels for f in found if f.label.name not in unseen]
    fitted = fit(others), fit(others, CONSTANT), fit(others, DISTANCE)
    factor, result = conformal_factor(others, fitted[0]), {}
    for family in sorted({f.label.family for f in found if f.label.name in unseen}):
        own = [f.voxels for f in found if f.label.name in unseen and f.label.family == family]
        result[family] = quality(own, fitted, factor)
    return result


def show(title: str, families: dict[str, dict[str, Any]]) -> None:
    """A table in the form of the documentation."""
    print(f"\n{title}\n")
    print("| family | structures | coverage % | by quintile of |Δn| | log score | constant | by distance | rank |")
    print("|---|---|---|---|---|---|---|---|")
    mean = {key: np.mean([row[key] for row in families.values()], axis=0) for key in next(iter(families.values()))}
    total = sum(row["structures"] for row in families.values())
    for name, row in [*families.items(), ("mean over families", {**mean, "structures": total})]:
        cover = f"{100 * row['coverage']:.0f}"
        cover = cover if 0.85 <= row["coverage"] <= 0.95 else f"**{cover}**"
        quintiles = " ".join(f"{100 * c:.0f}" for c in row["coverage_by_quintile"])
        scores = " | ".join(f"{row[key]:.2f}" for key in ("log_score", "log_score_constant", "log_score_distance"))
        print(f"| {name} | {row['structures']} | {cover} | {quintiles} | {scores} | {row['rank_correlation']:.2f} |")
    inside = sum(0.85 <= row["coverage"] <= 0.95 for row in families.values())
    constant = sum(row["log_score"] > row["log_score_constant"] for row in families.values())
    distance = sum(row["log_score"] > row["log_score_distance"] for row in families.values())
    print(f"\ncoverage of 85-95 % in {inside} of {len(families)} families")
    print(f"log score above that of a constant in {constant}, of the distance to the nearest atom in {distance}")


def chemistries(
    train: Sequence[Label], held_out: Sequence[Label], features: dict[str, np.ndarray]
) -> list[tuple[str, float, int, int]]:
    """AUROC of each chemistry left out of the training atoms, structures without new elements; and how many."""
    result = []
    for name in (*CHEMISTRIES, "Na"):
        rest = [label for label in train if name not in label.chemistries]
        rng = np.random.default_rng(0)
        parents = [label.parent for label in rest]
        bank = learn_from_features([features[x.name] for x in rest], [x.structure.numbers for x in rest], parents, rng)

        def score(label: Label, bank: Any = bank) -> float:
            return of_structure(bank.of_features(features[label.name], label.structure.numbers))

        families = {label.family for label in rest}
        usual = [score(x) for x in held_out if name not in x.chemistries and x.family in families]
        strange = [x for x in (*train, *held_out) if name in x.chemistries]
        if name != "Na":  # sodium is the new element
            strange = [x for x in strange if set(x.structure.numbers.tolist()) <= bank.elements]
        result.append((name, auroc(usual, [score(x) for x in strange]), len(strange), len(usual)))
    return result


def main() -> None:
    """Print everything."""
    run = sys.argv[1]
    model, train, held_out, names = run_labels(run)
    unseen = set(names)
    features = {label.name: atom_features(model, label.structure) for label in (*train, *held_out)}
    rng = np.random.default_rng(0)
    numbers = [label.structure.numbers for label in train]
    bank = learn_from_features([features[x.name] for x in train], numbers, [x.parent for x in train], rng)
    found = [measure(model, bank, label, rng) for label in held_out]
    known = [f for f in found if f.label.name not in unseen]
    print(f"weights {fingerprint(find_model(run))[:12]}, {len(train)} labels; held out: {len(found)} labels")
    show("Every family, calibrated on the others", left_out_one_by_one([f.voxels for f in known])["families"])
    if unseen:
        show("Chemistries never trained on, calibrated on all others", rows_of_unseen(found, unseen))
        row = novelty_report(found, {label.family for label in train}, unseen, bank)
        print(
            f"\nnovelty, {row['unseen']} structures of unseen chemistries against {row['known']} new parents of known "
            f"families: AUROC {row['auroc']:.2f}, {row['unseen_without_new_elements']} without new elements "
            f"{row['auroc_without_new_elements']:.2f}"
        )
    row = foretold(found)
    print(f"\nerror of whole structures ({len(found)}, {row['bad']} above {row['bad_above']:g})")
    for key, words in (("expected", "error expected from σ"), ("novelty", "novelty")):
        print(
            f"  {words}: rank correlation {row[f'rank_correlation_{key}']:.2f}, AUROC of a large error "
            f"{row[f'auroc_bad_{key}']:.2f}"
        )
    if model.settings.encoder == "sevennet":
        print("\nchemistry left out of the novelty: AUROC (structures, new parents of known families)")
        for name, value, strange, usual in chemistries(train, held_out, features):
            print(f"  {name:10s} {value:.2f} ({strange}, {usual}){' new element' * (name == 'Na')}")


if __name__ == "__main__":
    main()
