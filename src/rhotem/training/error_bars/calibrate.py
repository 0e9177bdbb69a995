"""Calibrate the error bars of a model on structures it was not trained on, and measure how good they are."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, Progress, silent
from rhotem.labels.fingerprint import described, leaks
from rhotem.labels.label import Label, coefficients_at
from rhotem.labels.waves import plane_indices
from rhotem.learned.arrangement import ArrangementBank, arrangement
from rhotem.learned.calibration import LEVEL, Calibration, save_calibration
from rhotem.learned.error_bars import make_inputs, members_at_points, nearest_atoms, widened_for
from rhotem.learned.model import LearnedModel, load_model
from rhotem.learned.novelty import LARGEST, NoveltyBank, atom_features
from rhotem.learned.surroundings import learn as learn_surroundings
from rhotem.learned.surroundings import save_surroundings
from rhotem.learned.weights import find_model, fingerprint, read_header, write_json
from rhotem.training.dataset import read_labels
from rhotem.training.error_bars.arrangement import learn_arrangements
from rhotem.training.error_bars.coverage import (
    HeldOut,
    by_quintile,
    covered,
    expected_error,
    foretold,
    left_out_one_by_one,
    log_score,
    novelty_report,
    potential_report,
    rank_correlation,
    useful,
)
from rhotem.training.error_bars.fit import Voxels, conformal_factor, fit
from rhotem.training.error_bars.novelty import learn_from_features, parts
from rhotem.training.network.readouts.fourier import fourier, make_tables
from rhotem.training.shares import deal

#: Voxels drawn from a label, and points of its projected potential.
POINTS, PIXELS = 3000, 400

#: Parts of a split; elements of few labels, and molecules, have error bars of their own.
PARTS = ("train", "family", "validation", "rattled", "unseen", "elements")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Known:
    """What was trained on, as novelty sees it.

    Parameters
    ----------
    bank : NoveltyBank
    arrangements : ArrangementBank
    novelty : dict
        By name of a training label, the novelty of its atoms if its parent had not been trained on.
    """

    bank: NoveltyBank
    arrangements: ArrangementBank
    novelty: dict[str, Array]


@dataclass(frozen=True, eq=False)
class RunLabels:
    """A run folder.

    Parameters
    ----------
    model : LearnedModel
    train : list of Label
        Crystals trained on: a few molecules in boxes do not make molecules known.
    held_out : list of Label
        To calibrate with.
    unseen : list of str
        Names of those of chemistries that training left out, labels made since among them.
    members : dict
        By name of a training label, the members that were trained on it.
    """

    model: LearnedModel
    train: list[Label]
    held_out: list[Label]
    unseen: list[str]
    members: dict[str, list[int]]


def study(
    train: Sequence[Label],
    features: Sequence[Array],
    rng: np.random.Generator,
    fingerprints: Sequence[Array] | None = None,
) -> Known:
    """Learn what is known from training labels and the features of their atoms (`atom_features`).

    ``fingerprints``: how their neighbours are arranged, where known.
    """
    parents = [label.parent for label in train]
    bank, left_out = learn_from_features(features, [label.structure.numbers for label in train], parents, rng)
    given = [arrangement(label.structure) for label in train] if fingerprints is None else fingerprints
    arrangements = learn_arrangements(given, parts(parents, rng).tolist())
    return Known(bank, arrangements, {label.name: own for label, own in zip(train, left_out, strict=True)})


def measure(model: LearnedModel, known: Known, label: Label, rng: np.random.Generator) -> HeldOut:
    """Errors of a model on a held-out label, beside what foretells them."""
    novelty = known.bank.novelty(model, label.structure)
    errors = projected_potential_errors(model, label, rng)
    arranged = known.arrangements.novelty(label.structure)
    return HeldOut(label, draw(model, label, novelty, rng), errors, novelty, arranged)


def borrow(
    model: LearnedModel,
    known: Known,
    train: Sequence[Label],
    members: Mapping[str, Sequence[int]],
    rng: np.random.Generator,
    progress: Progress = silent,
) -> list[Voxels]:
    """Training labels with the errors of those members that were not trained on them.

    Left out are labels that every member saw, and those with an element that is in no other parent.
    """
    every, found = set(range(model.settings.members)), []
    for done, label in enumerate(train):
        others = sorted(every - set(members.get(label.name, every)))
        if others and known.novelty[label.name].max() < LARGEST:
            found.append(draw(model, label, known.novelty[label.name], rng, others))
        progress("members not trained on it", done + 1, len(train))
    return found


def calibrate(
    model: LearnedModel,
    train: Sequence[Label],
    held_out: Sequence[Label],
    unseen: Sequence[str] = (),
    seed: int = 0,
    progress: Progress = silent,
    *,
    members: Mapping[str, Sequence[int]] | None = None,
) -> Calibration:
    """Fit error bars to held-out labels; the report leaves families out one by one.

    Parameters
    ----------
    model : LearnedModel
    train : sequence of Label
        What it was trained on: the measure of novelty.
    held_out : sequence of Label
        Everything else.
    unseen : sequence of str
        Names of those labels whose chemistry is new, for the AUROC of the novelty.
    seed : int
        Of the voxels drawn.
    members : mapping, optional
        By name of a training label, the members trained on it: errors of the others show how errors depend on the
        inputs, where that helps held-out families. How large they are is decided by held-out labels alone.

    Raises
    ------
    InputError
        If fewer than three families are held out: nothing can be said of another one.
    """
    families = sorted({label.family for label in held_out})
    if len(families) < 3:
        raise InputError(
            f"calibration: held-out labels of {len(families)} families ({', '.join(families)}), expected at least 3"
        )
    rng = np.random.default_rng(seed)
    known = study(train, [atom_features(model, label.structure) for label in train], rng)
    found = []
    for done, label in enumerate(held_out):
        found.append(measure(model, known, label, rng))
        progress("calibrating", done + 1, len(held_out))
    groups = [f.voxels for f in found]
    borrowed, left_out = useful(groups, borrow(model, known, train, members or {}, rng, progress))
    weights = fit([*groups, *borrowed])
    report = left_out_one_by_one(groups, borrowed, left_out)
    report["borrowed"] = len(borrowed)
    report["novelty"] = novelty_report(found, {label.family for label in train}, set(unseen), known.bank)
    report["foretold"] = foretold(found, left_out)
    report["potential"], potential_factor = potential_report(found, left_out)
    factor = conformal_factor(groups, weights)
    return Calibration(weights, factor, potential_factor, known.bank, report, known.arrangements)


def calibrate_run(
    run: str | Path, progress: Progress = silent, like: str | Path | None = None, judged_by: str = ""
) -> tuple[Path, Calibration]:
    """Calibrate the model of a run folder on what it was not trained on, and store that beside its weights.

    ``like``: a model trained on the same atoms, whose calibration tells them (`save_calibration`). ``judged_by``:
    another model whose density counts as one more member; it is noted in the JSON of the weights.

    Raises
    ------
    InputError
        If it is no run folder, or its labels are not where they were.
    """
    if judged_by:
        find_model(judged_by)
        weights = find_model(run)
        write_json(weights.with_suffix(".json"), read_header(weights) | {"judged_by": judged_by})
    own = run_labels(run, progress)
    calibration = calibrate(own.model, own.train, own.held_out, own.unseen, progress=progress, members=own.members)
    weights = find_model(run)
    save_surroundings(weights, learn_surroundings(label.structure for label in own.train), fingerprint(weights))
    return save_calibration(weights, calibration, None if like is None else find_model(like)), calibration


def run_labels(run: str | Path, progress: Progress = silent) -> RunLabels:
    """Model of a run folder, labels trained on, and labels to calibrate with.

    To calibrate with: what training held out, and labels made since, as far as they are new parents. Rattled copies of
    training structures are left out: they would make the error bars too small; so are elements of few labels and
    molecules, which would make them too large. Held-out labels that were withdrawn since are not used.

    Raises
    ------
    InputError
        As `calibrate_run`.
    """
    folder = Path(run)
    try:
        content = json.loads((folder / "config.json").read_text())
        names = {part: set(content.get(part, ())) for part in PARTS}
        folders = content["config"]["data"]["labels"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"run {folder}: no config.json of a training run there; give the folder `out`") from error
    labels = read_labels(folders, progress)
    held_out = names["family"] | names["validation"] | names["unseen"]
    missing = names["train"] - {label.name for label in labels}
    if missing:
        raise InputError(f"run {folder}: labels {', '.join(sorted(missing)[:3])} are no longer in {', '.join(folders)}")
    model, _ = load_model(find_model(folder))
    train = [label for label in labels if label.name in names["train"]]
    others = [label for label in labels if label.name not in set().union(*names.values())]
    chosen = [label for label in labels if label.name in held_out]
    settings = content["config"].get("train", {})
    dealt = deal(train, model.settings.members, settings.get("member_share", 1.0), settings.get("seed", 0))
    members = {label.name: own for label, own in zip(train, dealt, strict=True)}
    calibrating = chosen + new_parents(others, train, sorted(model.known_elements))
    left_out = set(content["config"]["data"].get("unseen", ()))
    unseen = {x.name for x in calibrating if left_out & {x.family, *x.chemistries}} | names["unseen"]
    crystals = [label for label in train if not label.family.endswith("-molecule")]
    return RunLabels(model, crystals, calibrating, sorted(unseen), members)


def new_parents(labels: Sequence[Label], train: Sequence[Label], elements: Sequence[int]) -> list[Label]:
    """Labels that are no copies of training structures, of elements that were trained on and trusted spin."""
    parents, formulas = {label.parent for label in train}, {label.formula for label in train}
    possible = [
        label
        for label in labels
        if not label.suspect and label.parent not in parents and set(label.structure.numbers.tolist()) <= set(elements)
    ]
    shared = {label.formula for label in possible} & formulas
    seen = {label.name: described(label.structure.atoms) for label in train if label.formula in shared}
    asked = {label.name: described(label.structure.atoms) for label in possible if label.formula in shared}
    copies = {name for name, _, _ in leaks(seen, asked)}
    return [label for label in possible if label.name not in copies]


def assess(model: LearnedModel, calibration: Calibration, labels: Sequence[Label], seed: int = 0) -> dict[str, Any]:
    """How the stored error bars do on labels: coverage, log score, rank correlation, novelty by structure.

    Labels that it was trained or calibrated on flatter it; the ``report`` of the calibration has families left out.
    """
    rng = np.random.default_rng(seed)
    novelty = [calibration.bank.novelty(model, label.structure) for label in labels]
    groups = [draw(model, label, own, rng) for label, own in zip(labels, novelty, strict=True)]
    w = calibration.weights
    factors = [calibration.factor * widened_for(model, label.structure)[0] for label in labels]
    structures: list[dict[str, Any]] = [
        {
            "name": group.name,
            "family": group.family,
            "coverage": float(covered(group, w, f).mean()),
            "coverage_by_quintile": by_quintile(group, w, f),
            "log_score": log_score(group, w),
            "rank_correlation": rank_correlation(group, w),
            "expected_error": expected_error(group, w),
            "novelty": calibration.out_of_distribution(label.structure, own),
        }
        for label, group, own, f in zip(labels, groups, novelty, factors, strict=True)
    ]
    families = {
        name: {"coverage": fmean(row["coverage"] for row in structures if row["family"] == name)}
        for name in sorted({row["family"] for row in structures})
    }
    overall = {key: fmean(row[key] for row in structures) for key in ("coverage", "log_score", "rank_correlation")}
    quintiles = np.mean([row["coverage_by_quintile"] for row in structures], axis=0).tolist()
    return {
        "level": LEVEL,
        "overall": {**overall, "coverage_by_quintile": quintiles},
        "families": families,
        "structures": structures,
        "report": calibration.report,
    }


def draw(
    model: LearnedModel, label: Label, novelty: Array, rng: np.random.Generator, members: Sequence[int] | None = None
) -> Voxels:
    """Voxels of a label drawn evenly, with the error of the model there; ``novelty`` of its atoms.

    ``members``: only their mean counts, as the others were trained on the label; a third of the voxels then.
    """
    index, target = label.evenly(POINTS if members is None else POINTS // 3, rng)
    fractional = np.stack(np.unravel_index(index, label.grid.shape), -1) / np.array(label.grid.shape)
    points = fractional @ label.grid.cell
    each = members_at_points(model, label.structure, points)
    mean = each[list(range(model.settings.members) if members is None else members)].mean(0)
    spread = each.std(0, ddof=1) if len(each) > 1 else np.zeros_like(mean)
    distance, nearest = nearest_atoms(label.structure, points)
    inputs = make_inputs(mean, spread, distance, novelty[nearest])
    return Voxels(label.name, label.family, mean - target, target, inputs, borrowed=members is not None)


def projected_potential_errors(
    model: LearnedModel, label: Label, rng: np.random.Generator, each: Sequence[Array] | None = None
) -> tuple[Array, Array]:
    """Error and spread of the members of the potential projected along the three axes, at random places.

    |g| < 2/Å as in V5; in the unit of Σ Δn(g)/g², the same for both. Empty for models of one member. ``each``: what
    the members say on the label's grid, where it is known and waves are not analytic.
    """
    if model.settings.members == 1 or not label.has_coefficients:
        return np.zeros(0), np.zeros(0)
    h = plane_indices(label.grid)
    g = h @ label.grid.reciprocal
    reference, found = label.coefficients(h), _waves_of_members(model, label, h, each)
    if model.witness is not None:
        other = model.witness.readout
        values = other.values(other.prepare(label.structure), label.structure, label.grid)
        found = np.concatenate([found, coefficients_at(values, h)[None]])
    errors, spreads = [], []
    for axis in range(3):
        own = h[:, axis] == 0
        places = rng.random((PIXELS // 3, 3))
        waves = 2.0 * np.exp(2j * np.pi * (places @ h[own].T)) / (g[own] ** 2).sum(1)  # ±g
        errors.append((waves @ (found[: model.settings.members].mean(0) - reference)[own]).real)
        spreads.append((waves @ found[:, own].T).real.std(1, ddof=1))
    return np.concatenate(errors), np.concatenate(spreads)


def _waves_of_members(
    model: LearnedModel, label: Label, h: npt.NDArray[np.int64], each: Sequence[Array] | None
) -> npt.NDArray[np.complex128]:
    """Fourier coefficients (members, H) of what every member says: analytic, or of its values on the label's grid."""
    readout, structure, grid = model.readout, label.structure, label.grid
    if model.can.linear:
        tables = make_tables(readout.blocks, h @ grid.reciprocal, structure.positions, grid.volume)
        given = [torch.from_numpy(c) for c in readout.prepare_members(structure)]
        return np.stack([fourier(tuple(c[k] for c in given), tables).numpy() for k in range(model.settings.members)])
    if each is None:
        each = list(readout.members_on_grid(readout.prepare_members(structure), structure, grid))
    return np.stack([coefficients_at(values, h) for values in each])
