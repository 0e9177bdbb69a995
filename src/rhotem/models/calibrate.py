"""Calibrate the error bars of a model on structures it was not trained on, and measure how good they are."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.labels.fingerprint import described, leaks
from rhotem.models.checkpoint import find_model, load_model
from rhotem.models.model import DensityModel
from rhotem.models.novelty import NoveltyBank, auroc, learn, of_structure
from rhotem.models.readouts.fourier import fourier, make_tables
from rhotem.models.source import prepared
from rhotem.models.training.dataset import Label, read_labels
from rhotem.models.training.loss import plane_indices
from rhotem.models.uncertainty import (
    COLUMNS,
    CONSTANT,
    DISTANCE,
    FLOOR,
    HALF_WIDTH,
    LEVEL,
    Calibration,
    Voxels,
    at_points,
    conformal_factor,
    error_over_spread,
    family_shares,
    fit,
    make_inputs,
    nearest_atoms,
    save_calibration,
    weighted_quantile,
)

#: Voxels drawn from a label, and points of its projected potential.
POINTS, PIXELS = 3000, 400
#: Deformation error above which a structure counts as badly predicted: twice the mean in family.
BAD = 0.3

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a model makes of one held-out label.

    Parameters
    ----------
    label : Label
    voxels : Voxels
    potential : two arrays
        Error and spread of the members of the projected potential; empty for a single member.
    novelty : (N,) array
        Of its atoms.
    """

    label: Label
    voxels: Voxels
    potential: tuple[Array, Array]
    novelty: Array


def measure(model: DensityModel, bank: NoveltyBank, label: Label, rng: np.random.Generator) -> HeldOut:
    """Errors of a model on a held-out label, beside what foretells them."""
    novelty = bank.novelty(model, label.structure)
    return HeldOut(label, draw(model, label, novelty, rng), projected_potential_errors(model, label, rng), novelty)


def calibrate(
    model: DensityModel,
    train: Sequence[Label],
    held_out: Sequence[Label],
    unseen: Sequence[str] = (),
    seed: int = 0,
    progress: Progress = silent,
) -> Calibration:
    """Fit error bars to held-out labels; the report leaves families out one by one.

    Parameters
    ----------
    model : DensityModel
    train : sequence of Label
        What it was trained on: the measure of novelty.
    held_out : sequence of Label
        Everything else.
    unseen : sequence of str
        Names of those labels whose chemistry is new, for the AUROC of the novelty.
    seed : int
        Of the voxels drawn.

    Raises
    ------
    InputError
        If fewer than three families are held out: nothing can be said of another one; or the model does not draw Δn.
    """
    if model.settings.target != "deformation":
        raise InputError('calibration: error bars are those of Δn; give a model with target = "deformation"')
    families = sorted({label.family for label in held_out})
    if len(families) < 3:
        raise InputError(
            f"calibration: held-out labels of {len(families)} families ({', '.join(families)}), expected at least 3"
        )
    rng = np.random.default_rng(seed)
    bank = learn(model, [label.structure for label in train], [label.parent for label in train], rng)
    found = []
    for done, label in enumerate(held_out):
        found.append(measure(model, bank, label, rng))
        progress("calibrating", done + 1, len(held_out))
    groups = [f.voxels for f in found]
    weights = fit(groups)
    report = left_out_one_by_one(groups)
    report["novelty"] = novelty_report(found, {label.family for label in train}, set(unseen), bank)
    report["foretold"] = foretold(found)
    report["potential"], potential_factor = potential_report(found)
    return Calibration(weights, conformal_factor(groups, weights), potential_factor, bank, report)


def calibrate_run(run: str | Path, progress: Progress = silent) -> tuple[Path, Calibration]:
    """Calibrate the model of a run folder on what it was not trained on, and store that beside its weights.

    Raises
    ------
    InputError
        If it is no run folder, or its labels are not where they were.
    """
    model, train, held_out, unseen = run_labels(run, progress)
    calibration = calibrate(model, train, held_out, unseen, progress=progress)
    return save_calibration(find_model(run), calibration), calibration


def run_labels(
    run: str | Path, progress: Progress = silent
) -> tuple[DensityModel, list[Label], list[Label], list[str]]:
    """Model of a run folder, labels trained on, labels to calibrate with, and names of those of unseen chemistry.

    To calibrate with: what training held out, and labels made since, as far as they are new parents. Rattled copies of
    training structures are left out: they would make the error bars too small.

    Raises
    ------
    InputError
        As `calibrate_run`.
    """
    folder = Path(run)
    try:
        content = json.loads((folder / "config.json").read_text())
        names = {part: set(content.get(part, ())) for part in ("train", "family", "validation", "rattled", "unseen")}
        folders = content["config"]["data"]["labels"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"run {folder}: no config.json of a training run there; give the folder `out`") from error
    labels = read_labels(folders, progress)
    held_out = names["family"] | names["validation"] | names["unseen"]
    missing = (names["train"] | held_out) - {label.name for label in labels}
    if missing:
        raise InputError(f"run {folder}: labels {', '.join(sorted(missing)[:3])} are no longer in {', '.join(folders)}")
    model, _ = load_model(find_model(folder))
    train = [label for label in labels if label.name in names["train"]]
    others = [label for label in labels if label.name not in set().union(*names.values())]
    chosen = [label for label in labels if label.name in held_out]
    return model, train, chosen + new_parents(others, train, model.settings.elements), sorted(names["unseen"])


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


def assess(model: DensityModel, calibration: Calibration, labels: Sequence[Label], seed: int = 0) -> dict[str, Any]:
    """How the stored error bars do on labels: coverage, log score, rank correlation, novelty by structure.

    Labels that it was trained or calibrated on flatter it; the ``report`` of the calibration has families left out.
    """
    rng = np.random.default_rng(seed)
    novelty = [calibration.bank.novelty(model, label.structure) for label in labels]
    groups = [draw(model, label, own, rng) for label, own in zip(labels, novelty, strict=True)]
    w, f = calibration.weights, calibration.factor
    structures: list[dict[str, Any]] = [
        {
            "name": group.name,
            "family": group.family,
            "coverage": float(covered(group, w, f).mean()),
            "coverage_by_quintile": by_quintile(group, w, f),
            "log_score": log_score(group, w),
            "rank_correlation": rank_correlation(group, w),
            "expected_error": expected_error(group, w),
            "novelty": of_structure(own),
        }
        for group, own in zip(groups, novelty, strict=True)
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


def draw(model: DensityModel, label: Label, novelty: Array, rng: np.random.Generator) -> Voxels:
    """Voxels of a label drawn evenly, with the error of the model there; ``novelty`` of its atoms."""
    index = rng.integers(0, label.grid.size, POINTS)
    fractional = np.stack(np.unravel_index(index, label.grid.shape), -1) / np.array(label.grid.shape)
    points = fractional @ label.grid.cell
    mean, spread = at_points(model, label.structure, points)
    distance, nearest = nearest_atoms(label.structure, points)
    target = label.deformation.ravel()[index]
    inputs = make_inputs(mean, spread, distance, novelty[nearest])
    return Voxels(label.name, label.family, mean - target, target, inputs)


def projected_potential_errors(model: DensityModel, label: Label, rng: np.random.Generator) -> tuple[Array, Array]:
    """Error and spread of the members of the potential projected along the three axes, at random places.

    |g| < 2/Å as in V5; in the unit of Σ Δn(g)/g², the same for both. Empty for models of one member.
    """
    if model.settings.members == 1 or not model.readout.linear:
        return np.zeros(0), np.zeros(0)
    h = plane_indices(label.grid)
    g = h @ label.grid.reciprocal
    reference = label.grid.fourier(label.deformation)[tuple((h % np.array(label.grid.shape)).T)]
    tables = make_tables(model.readout.blocks, g, label.structure.positions, label.grid.volume)
    given = prepared(model, label.structure, members=True)
    each = np.stack([fourier(tuple(c[k].cpu() for c in given), tables).numpy() for k in range(model.settings.members)])
    errors, spreads = [], []
    for axis in range(3):
        own = h[:, axis] == 0
        places = rng.random((PIXELS // 3, 3))
        waves = 2.0 * np.exp(2j * np.pi * (places @ h[own].T)) / (g[own] ** 2).sum(1)  # ±g
        errors.append((waves @ (each.mean(0) - reference)[own]).real)
        spreads.append((waves @ each[:, own].T).real.std(1, ddof=1))
    return np.concatenate(errors), np.concatenate(spreads)


def left_out_weights(groups: Sequence[Voxels]) -> dict[str, Array]:
    """By family, the weights fitted to all other families."""
    return {name: fit([g for g in groups if g.family != name]) for name in sorted({g.family for g in groups})}


def left_out_one_by_one(groups: Sequence[Voxels]) -> dict[str, Any]:
    """Coverage, log score and rank correlation of every family with error bars calibrated on the other families."""
    families: dict[str, Any] = {}
    for name, weights in left_out_weights(groups).items():
        others, own = [g for g in groups if g.family != name], [g for g in groups if g.family == name]
        factor = conformal_factor(others, weights)
        families[name] = quality(own, (weights, fit(others, CONSTANT), fit(others, DISTANCE)), factor)
    rows = list(families.values())
    overall = {
        key: fmean(row[key] for row in rows) for key in rows[0] if key not in ("structures", "coverage_by_quintile")
    }
    overall["coverage_by_quintile"] = np.mean([row["coverage_by_quintile"] for row in rows], axis=0).tolist()
    return {"level": LEVEL, "overall": overall, "families": families}


def quality(groups: Sequence[Voxels], fitted: tuple[Array, Array, Array], factor: float) -> dict[str, Any]:
    """Mean over structures of coverage, log scores and rank correlation.

    ``fitted``: weights of the error bars, and of the two baselines, a constant and the distance to the nearest atom.
    """
    weights, constant, distance = fitted
    return {
        "structures": len(groups),
        "coverage": fmean(float(covered(g, weights, factor).mean()) for g in groups),
        "coverage_by_quintile": np.mean([by_quintile(g, weights, factor) for g in groups], axis=0).tolist(),
        "log_score": fmean(log_score(g, weights) for g in groups),
        "log_score_constant": fmean(log_score(g, constant) for g in groups),
        "log_score_distance": fmean(log_score(g, distance) for g in groups),
        "rank_correlation": fmean(rank_correlation(g, weights) for g in groups),
    }


def covered(group: Voxels, weights: Array, factor: float) -> npt.NDArray[np.bool_]:
    """Which errors are inside their interval."""
    return np.abs(group.error) <= factor * np.exp(group.inputs @ weights)


def by_quintile(group: Voxels, weights: Array, factor: float) -> list[float]:
    """Coverage by quintile of the DFT |Δn|, smallest first."""
    order = np.argsort(np.abs(group.target))
    inside = covered(group, weights, factor)[order]
    return [float(part.mean()) for part in np.array_split(inside, 5)]


def log_score(group: Voxels, weights: Array) -> float:
    """Mean logarithm of the probability density of the errors (Laplace, e/Å³); larger is better."""
    scale = group.inputs @ weights
    return float(-np.mean(np.log(2.0) + scale + np.abs(group.error) * np.exp(-scale)))


def rank_correlation(group: Voxels, weights: Array) -> float:
    """Spearman's correlation of |error| and error bar within one structure."""
    return spearman(np.abs(group.error), group.inputs @ weights)


def spearman(a: Array, b: Array) -> float:
    """Correlation of ranks; 0 where one of them is constant and says nothing."""
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic) if np.ptp(a) > 0.0 and np.ptp(b) > 0.0 else 0.0


def actual_error(group: Voxels) -> float:
    """Deformation error of the drawn voxels, Σ|error| / Σ|Δn|."""
    return float(np.abs(group.error).sum() / np.abs(group.target).sum())


def expected_error(group: Voxels, weights: Array) -> float:
    """The deformation error that the typical errors of its voxels amount to, without knowing the label."""
    size = np.exp(group.inputs[:, COLUMNS.index("size")]) - FLOOR
    return float(np.exp(group.inputs @ weights).sum() / size.sum())


def foretold(found: Sequence[HeldOut]) -> dict[str, Any]:
    """How well the error of whole structures is known beforehand, families left out one by one."""
    rows = []
    weights = left_out_weights([f.voxels for f in found])
    for f in found:
        row = {"name": f.label.name, "family": f.label.family, "novelty": of_structure(f.novelty)}
        expected = expected_error(f.voxels, weights[f.label.family])
        rows.append({**row, "error": actual_error(f.voxels), "expected": expected})
    errors = np.array([row["error"] for row in rows])
    result: dict[str, Any] = {"structures": rows, "bad_above": BAD, "bad": int((errors > BAD).sum())}
    for key in ("expected", "novelty"):
        values = np.array([row[key] for row in rows])
        result[f"rank_correlation_{key}"] = spearman(errors, values)
        result[f"auroc_bad_{key}"] = auroc(values[errors <= BAD], values[errors > BAD])
    return result


def novelty_report(found: Sequence[HeldOut], trained: set[str], unseen: set[str], bank: NoveltyBank) -> dict[str, Any]:
    """AUROC of the novelty of structures: unseen chemistries against new parents of families that were trained on."""
    usual = [of_structure(f.novelty) for f in found if f.label.name not in unseen and f.label.family in trained]
    strange = [f for f in found if f.label.name in unseen]
    no_new_element = [f for f in strange if set(f.label.structure.numbers.tolist()) <= bank.elements]
    return {
        "auroc": auroc(usual, [of_structure(f.novelty) for f in strange]),
        "auroc_without_new_elements": auroc(usual, [of_structure(f.novelty) for f in no_new_element]),
        "known": len(usual),
        "unseen": len(strange),
        "unseen_without_new_elements": len(no_new_element),
    }


def potential_report(found: Sequence[HeldOut]) -> tuple[dict[str, Any], float]:
    """Coverage of the projected potential with families left out, and the factor for all."""
    if not len(found[0].potential[0]):
        return {}, 1.0
    weights = left_out_weights([f.voxels for f in found])
    ratios: dict[str, list[Array]] = {name: [] for name in weights}
    for f in found:
        error, spread = f.potential
        allowed = HALF_WIDTH * spread * error_over_spread(f.voxels.inputs, weights[f.label.family])
        ratios[f.label.family].append(np.abs(error) / (allowed + 1e-12))

    def factor(names: Sequence[str]) -> float:
        chosen = [(name, ratio) for name in names for ratio in ratios[name]]
        shares = family_shares([name for name, _ in chosen], [ratio for _, ratio in chosen])
        return weighted_quantile(np.concatenate([ratio for _, ratio in chosen]), shares, LEVEL)

    result = {}
    for name, own in ratios.items():
        others = factor([other for other in ratios if other != name])
        result[name] = fmean(float((ratio <= others).mean()) for ratio in own)
    return {"coverage": fmean(result.values()), "families": result}, factor(list(ratios))
