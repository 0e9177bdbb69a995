"""How good are the error bars? Coverage, log score, rank correlation and novelty, on labels a model was not trained on.

    python benchmarks/uncertainty.py RUN
    python benchmarks/uncertainty.py RUN groups

RUN is the folder of a training run; its held-out labels are measured, and labels made since that are new parents of
known elements. Every family is measured with error bars calibrated on the other families, chemistries that the run left
out (`data.unseen`) with error bars calibrated on everything else: training, calibration and test are disjoint.
A chemistry can be left out of the out-of-distribution score alone, without training anew, where the encoder is
pretrained: its features do not depend on what was trained on. ``groups`` leaves out thirteen others, by which the score
was chosen.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rhotem.labels.label import Label
from rhotem.labels.splits import CHEMISTRIES
from rhotem.learned.arrangement import arrangement
from rhotem.learned.error_bars import CONSTANT
from rhotem.learned.novelty import atom_features, of_structure
from rhotem.learned.weights import find_model, fingerprint
from rhotem.training.error_bars.calibrate import RunLabels, borrow, measure, run_labels, study
from rhotem.training.error_bars.coverage import (
    HeldOut,
    crystal_of,
    foretold,
    left_out_one_by_one,
    left_out_weights,
    novelty_report,
    quality,
    useful,
)
from rhotem.training.error_bars.fit import DISTANCE, Voxels, conformal_factor, fit
from rhotem.training.error_bars.novelty import auroc

#: Prototypes that are left out together by ``groups``: none of olivine, spinel and graphite, which test the score.
GROUPS = {
    "metals": ("bcc", "fcc", "hcp", "Al", "Li", "Na"),
    "tetrahedral": ("Si", "diamond", "zintl-b32"),
    "silicates": ("li2msio4", "quartz", "SiO2"),
    "phosphates": ("Li3PO4", "li3po4-beta", "AlPO4", "berlinite"),
    "carbonates": ("Li2CO3", "li2co3"),
    "peroxides": ("li2o2", "na2o2"),
    "fluorides": ("perovskite", "vf3", "rutile", "lipf6"),
    "antifluorites": ("Li2O", "antifluorite"),
    "pnictides": ("na3as",),
    "binary oxides": ("V2O5", "TiO2", "MnO2", "corundum"),
    "aluminates": ("LiAlO2g", "gamma-lialo2"),
    "layered oxides": ("layered", "layeredO1", "o3", "p2", "rocksalt-dis", "antisite", "li2mo3"),
    "rocksalts": ("rocksalt", "LiF", "NaF", "cscl"),
}
#: Structures of a family from which its coverage is more than that of one or two of them.
SEVERAL = 5
#: What is looked at, of novelty and arrangement of the atoms.
SCORES: dict[str, Callable[[Any, Any], float]] = {
    "both": of_structure,
    "novelty": lambda novelty, _: of_structure(novelty),
    "arrangement": lambda _, arranged: float(np.median(arranged)),
}


def rows_of_unseen(found: Sequence[HeldOut], borrowed: Sequence[Voxels], unseen: set[str]) -> dict[str, dict[str, Any]]:
    """Families of chemistries that were left out, with error bars calibrated on all others."""
    others = [*(f.voxels for f in found if f.label.name not in unseen), *borrowed]
    fitted = fit(others), fit(others, CONSTANT), fit(others, DISTANCE)
    factor, result = conformal_factor(others, fitted[0]), {}
    for family in sorted({f.label.family for f in found if f.label.name in unseen}):
        own = [f.voxels for f in found if f.label.name in unseen and f.label.family == family]
        result[family] = quality(own, fitted, factor)
    return result


def is_inside(row: dict[str, Any]) -> bool:
    """Whether 90 % intervals cover what they should, within 5 %."""
    return bool(0.85 <= row["coverage"] <= 0.95)


def show(title: str, families: dict[str, dict[str, Any]]) -> None:
    """A table in the form of the documentation."""
    print(f"\n{title}\n")
    print("| family | structures | coverage % | by quintile of |Δn| | log score | constant | by distance | rank |")
    print("|---|---|---|---|---|---|---|---|")
    mean = {key: np.mean([row[key] for row in families.values()], axis=0) for key in next(iter(families.values()))}
    total = sum(row["structures"] for row in families.values())
    for name, row in [*families.items(), ("mean over families", {**mean, "structures": total})]:
        cover = f"{100 * row['coverage']:.0f}"
        cover = cover if is_inside(row) else f"**{cover}**"
        quintiles = " ".join(f"{100 * c:.0f}" for c in row["coverage_by_quintile"])
        scores = " | ".join(f"{row[key]:.2f}" for key in ("log_score", "log_score_constant", "log_score_distance"))
        print(f"| {name} | {row['structures']} | {cover} | {quintiles} | {scores} | {row['rank_correlation']:.2f} |")
    several = [row for row in families.values() if row["structures"] >= SEVERAL]
    inside, of_several = (sum(map(is_inside, rows)) for rows in (families.values(), several))
    constant = sum(row["log_score"] > row["log_score_constant"] for row in families.values())
    distance = sum(row["log_score"] > row["log_score_distance"] for row in families.values())
    with_several = f"{of_several} of the {len(several)} with {SEVERAL} and more structures"
    print(f"\ncoverage of 85-95 % in {inside} of {len(families)} families, in {with_several}")
    print(f"log score above that of a constant in {constant}, of the distance to the nearest atom in {distance}")


class Scores:
    """Out-of-distribution scores with some of the labels left out of what is known."""

    def __init__(self, own: RunLabels) -> None:
        self.own, self.labels = own, [*own.train, *own.held_out]
        self.features = {label.name: atom_features(own.model, label.structure) for label in self.labels}
        self.fingerprints = {label.name: arrangement(label.structure) for label in self.labels}

    def without(self, left_out: Callable[[Label], bool], new_elements: bool = False) -> tuple[list[float], int, int]:
        """AUROC by `SCORES` of labels left out against other new parents of known families; how many of both.

        Labels with elements that only they have are left out of the comparison unless they are its subject.
        """
        rest = [label for label in self.own.train if not left_out(label)]
        features, prints = ([given[x.name] for x in rest] for given in (self.features, self.fingerprints))
        known = study(rest, features, np.random.default_rng(0), prints)
        families = {crystal_of(label.family) for label in rest}
        usual = [x for x in self.own.held_out if not left_out(x) and crystal_of(x.family) in families]
        strange = [x for x in self.labels if left_out(x)]
        if not new_elements:
            strange = [x for x in strange if set(x.structure.numbers.tolist()) <= known.bank.elements]

        def told(label: Label) -> tuple[Any, Any]:
            novelty = known.bank.of_features(self.features[label.name], label.structure.numbers)
            return novelty, known.arrangements.of_fingerprints(self.fingerprints[label.name])

        a, b = ([told(label) for label in labels] for labels in (usual, strange))
        return [auroc([f(*x) for x in a], [f(*x) for x in b]) for f in SCORES.values()], len(b), len(a)

    def show(self, title: str, rows: dict[str, Callable[[Label], bool]], new: str = "") -> None:
        """A table with the mean of its rows, but for the one with a new element."""
        print(f"\n{title}\n\n| left out | structures | against | AUROC | novelty alone | arrangement alone |")
        print("|---|---|---|---|---|---|")
        values = []
        for name, left_out in rows.items():
            row, strange, usual = self.without(left_out, name == new)
            if strange:
                print(f"| {name} | {strange} | {usual} | " + " | ".join(f"{v:.2f}" for v in row) + " |", flush=True)
                values += [row] if name != new else []
        print("| mean | | | " + " | ".join(f"{v:.2f}" for v in np.mean(values, axis=0)) + " |")


def of_families(families: Sequence[str]) -> Callable[[Label], bool]:
    """Whether a label is of one of these families, slabs included."""
    return lambda label: crystal_of(label.family) in families


def of_chemistry(name: str) -> Callable[[Label], bool]:
    """Whether a label belongs to a chemistry."""
    return lambda label: name in label.chemistries


def groups(own: RunLabels) -> None:
    """The table by which the score was chosen: olivine, spinel and graphite take no part in it."""
    tested = {"olivine", "spinel", "graphite"}
    train, held_out = (
        [label for label in labels if not tested & set(label.chemistries)] for labels in (own.train, own.held_out)
    )
    scores = Scores(RunLabels(own.model, train, held_out, own.unseen, own.members))
    rows = {name: of_families(families) for name, families in GROUPS.items()}
    scores.show("Groups left out of the score, to choose it by", rows)


def everything(own: RunLabels, run: str) -> None:
    """Error bars, and chemistries left out."""
    unseen, rng = set(own.unseen), np.random.default_rng(0)
    known = study(own.train, [atom_features(own.model, label.structure) for label in own.train], rng)
    found = [measure(own.model, known, label, rng) for label in own.held_out]
    seen = [f.voxels for f in found if f.label.name not in unseen]
    offered = borrow(own.model, known, own.train, own.members, rng)
    borrowed, weights = useful(seen, offered)
    print(
        f"weights {fingerprint(find_model(run))[:12]}, {len(own.train)} labels; held out: {len(found)} labels; "
        f"{len(borrowed)} of {len(offered)} that some members were not trained on borrowed"
    )
    show("Every family, calibrated on the others", left_out_one_by_one(seen, borrowed, weights)["families"])
    if unseen:
        show("Chemistries never trained on, calibrated on all others", rows_of_unseen(found, borrowed, unseen))
        row = novelty_report(found, {label.family for label in own.train}, unseen, known.bank)
        print(
            f"\nout-of-distribution score, {row['unseen']} structures of unseen chemistries against {row['known']} new "
            f"parents of known families: AUROC {row['auroc']:.2f}, {row['unseen_without_new_elements']} without new "
            f"elements {row['auroc_without_new_elements']:.2f}"
        )
    if unseen:
        weights = left_out_weights([f.voxels for f in found], borrowed)
    row = foretold(found, weights)
    print(f"\nerror of whole structures ({len(found)}, {row['bad']} above {row['bad_above']:g})")
    for key, words in {
        "expected": "error expected from σ", "novelty": "novelty", "score": "out-of-distribution score"
    }.items():  # fmt: skip
        print(
            f"  {words}: rank correlation {row[f'rank_correlation_{key}']:.2f}, AUROC of a large error "
            f"{row[f'auroc_bad_{key}']:.2f}"
        )
    if own.model.settings.encoder == "sevennet":
        rows = {name: of_chemistry(name) for name in (*CHEMISTRIES, "Na")}
        Scores(own).show("Chemistries left out of the score (Na: a new element)", rows, "Na")


def main() -> None:
    """Print what is asked for."""
    own = run_labels(sys.argv[1])
    if sys.argv[2:] == ["groups"]:
        groups(own)
    else:
        everything(own, sys.argv[1])


if __name__ == "__main__":
    main()
