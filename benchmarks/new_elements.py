"""Elements of few or no training labels: errors by compound and element beside free atoms, error bars.

    python benchmarks/new_elements.py [MODEL] [LABELS ...]            tables of docs/model.md
    python benchmarks/new_elements.py MODEL LABELS ... --store        also writes what predictions say of such elements
    python benchmarks/new_elements.py MODEL LABELS ... --rules        also with other rules for their rows
    python benchmarks/new_elements.py MODEL --held-out [--before WEIGHTS] [--store]
    python benchmarks/new_elements.py MODEL OTHER --held-out --as-if-untrained

MODEL is "default" or "fast", LABELS shards with such elements. Nothing is trained: these elements are left out of
training by being new. Of weights that were trained on few labels of them --held-out takes what the split holds out;
what WEIGHTS from before say of elements (of weights that were trained on them what they keep of those before) is then
what is expected of those that MODEL was not trained on either. --as-if-untrained: rows of elements of few labels
replaced by those of relatives, so that two models can be compared on elements that neither has rows of.
"""

import sys
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

import numpy as np

from rhotem.labels.read import read_labels
from rhotem.labels.splits import read_split
from rhotem.learned.calibration import load_calibration
from rhotem.learned.model import LearnedModel, load_model
from rhotem.learned.newcomers import load_measured, named, save_measured
from rhotem.learned.relatives import nearest, with_newcomers
from rhotem.learned.weights import find_model, in_precision, read_arrays, read_weights
from rhotem.training.error_bars.newcomers import Compound, study, summarise, with_new_elements
from rhotem.training.evaluate import evaluate_label

SHARDS = ("data/labels/shards/0001.zip", "data/labels/shards/0003.zip")
ALL, SPLIT = "data/labels/shards", Path("data/training/split-elements.json")


def main(*given: str) -> None:
    before = given[given.index("--before") + 1] if "--before" in given else None
    name, *places = [g for g in given if not g.startswith("--") and g != before] or ["default"]
    if "--as-if-untrained" in given:
        for each in (name, *places):
            show_as_if_untrained(each, list(read_labels([ALL], read_split(SPLIT)["elements"])))
        return
    model, _ = load_model(name)
    weights = find_model(name)
    labels = list(
        read_labels([ALL], read_split(SPLIT)["elements"]) if "--held-out" in given else read_labels(places or SHARDS)
    )
    compounds = study(model, load_calibration(weights), labels)
    theirs = load_measured(find_model(before)) if before else None
    measured = replace(summarise(compounds), untrained=theirs and (theirs.untrained or theirs))
    show_compounds(compounds)
    show_elements(compounds)
    for what, row in measured.report.items():
        print(
            f"{what}: widened {measured.factor if what == 'voxels' else measured.potential_factor:.2f} times; every "
            f"compound left out once: coverage {100 * row['coverage']:.1f} %, within 85–95 % in "
            f"{100 * row['between_85_and_95_percent']:.0f} % of {len(compounds)}, least {100 * row['least']:.0f} %"
        )
    if "--rules" in given:
        show_rules(name, with_new_elements(labels, model))
    if "--store" in given:
        print(save_measured(weights, measured))


def show_compounds(compounds: list[Compound]) -> None:
    """Errors of every label; free atoms have 1."""
    print("| compound | structure | Δn | potential | around each new element |\n|---|---|---|---|---|")
    for c in sorted(compounds, key=lambda c: c.error):
        each = ", ".join(f"{named([z])} {error:.2f}" for z, error in c.around.items())
        print(f"| {c.label.formula} | {c.label.family} | {c.error:.2f} | {c.potential:.2f} | {each} |")
    errors, potentials = [c.error for c in compounds], [c.potential for c in compounds]
    print(
        f"{len(compounds)} compounds: Δn {fmean(errors):.3f} (median {median(errors):.3f}), potential "
        f"{fmean(potentials):.3f} ({median(potentials):.3f}); worse than free atoms: {sum(e >= 1 for e in errors)} and "
        f"{sum(p >= 1 for p in potentials)}"
    )


def show_elements(compounds: list[Compound]) -> None:
    """Mean error around every element."""
    measured = summarise(compounds)
    rows = [f"{named([z])} {measured.errors[z]:.2f}/{measured.potential[z]:.2f}" for z in measured.errors]
    print(f"{len(rows)} elements, Δn around them / potential of their compounds: {', '.join(rows)}")


def show_as_if_untrained(name: str, labels: list) -> None:
    """Errors of drawn voxels as trained, and with rows of relatives for elements of few labels; free atoms have 1."""
    model, header = load_model(name)
    path = find_model(name)
    arrays = in_precision(read_weights(path, header), np.float32)
    told = LearnedModel(model.settings, with_newcomers(arrays, sorted(model.known_elements)))
    model.newcomers, errors = None, []
    for label in labels:
        index, target = label.evenly(2000, np.random.default_rng(0))
        places = np.stack(np.unravel_index(index, label.grid.shape), -1) / np.array(label.grid.shape) @ label.grid.cell
        s = label.structure
        found = [m.readout.at_points(m.readout.prepare(s), s, places) for m in (model, told)]
        errors.append([np.abs(values - target).sum() / np.abs(target).sum() for values in found])
    means = ", ".join(f"{fmean(e):.3f} ({median(e):.3f})" for e in np.transpose(errors).tolist())
    print(f"{name}: {len(labels)} labels, drawn voxels, mean (median) as trained, as if untrained: {means}")


def show_rules(name: str, labels: list) -> None:
    """The same labels with rows as they are in the file, of the closest relative, and the mean of all trained ones."""
    model, _ = load_model(name)
    arrays, trained = in_precision(read_arrays(find_model(name)), np.float32), model.settings.elements
    tables = {n: a for n, a in arrays.items() if a.dtype.kind == "f" and a.ndim > 1 and len(a) == 119}
    others = [z for z in range(1, 119) if z not in trained]
    closest = {n: a.copy() for n, a in tables.items()}
    mean = {n: a.copy() for n, a in tables.items()}
    for n, a in tables.items():
        for z in others:
            closest[n][z], mean[n][z] = a[nearest(z, trained)], a[trained].mean(0)
    rules = {"as in the file": {}, "of the closest relative": closest, "mean of all trained": mean}
    models = {rule: LearnedModel(model.settings, {**arrays, **rows}) for rule, rows in rules.items()}
    model.newcomers = None
    for rule, own in {**models, "weighted mean of relatives": model}.items():
        found = [evaluate_label(own, label) for label in labels]
        errors = [[row[key] for row in found] for key in ("deformation_error", "potential_error_ratio")]
        print(rule, *(f"{fmean(e):.3f} ({median(e):.3f})" for e in errors))


if __name__ == "__main__":
    main(*sys.argv[1:])
