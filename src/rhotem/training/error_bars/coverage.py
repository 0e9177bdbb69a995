"""How good error bars are on families that they were not calibrated on: coverage, log score, errors foretold."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.labels.label import Label
from rhotem.learned.calibration import COLUMNS, HALF_WIDTH, LEVEL
from rhotem.learned.error_bars import FLOOR, error_over_spread
from rhotem.learned.novelty import NoveltyBank, of_structure
from rhotem.training.error_bars.fit import (
    CONSTANT,
    DISTANCE,
    Voxels,
    conformal_factor,
    family_shares,
    fit,
    weighted_quantile,
)
from rhotem.training.error_bars.novelty import auroc

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
    novelty, arrangement : (N,) arrays
        Of its atoms, and of how their neighbours are arranged.
    """

    label: Label
    voxels: Voxels
    potential: tuple[Array, Array]
    novelty: Array
    arrangement: Array

    @property
    def score(self) -> float:
        """Out-of-distribution score."""
        return of_structure(self.novelty, self.arrangement)


def crystal_of(family: str) -> str:
    """The family that a slab was cut from: they are left out together."""
    return family.split("-slab")[0]


def left_out_weights(groups: Sequence[Voxels], borrowed: Sequence[Voxels] = ()) -> dict[str, Array]:
    """By family, the weights fitted to all other families."""
    return {name: fit(without(name, [*groups, *borrowed])) for name in sorted({g.family for g in groups})}


def useful(groups: Sequence[Voxels], borrowed: Sequence[Voxels]) -> tuple[list[Voxels], dict[str, Array]]:
    """Borrowed labels if they make error bars of held-out families better, else none; and `left_out_weights` with them.

    With few held-out labels they do. With many they need not, as the members share what was trained on all labels.
    Better is a larger mean log score of families left out.
    """
    alone = left_out_weights(groups)
    if not borrowed:
        return [], alone
    both = left_out_weights(groups, borrowed)
    gain = [fmean(log_score(g, both[n]) - log_score(g, alone[n]) for g in groups if g.family == n) for n in alone]
    return (list(borrowed), both) if fmean(gain) > 0.0 else ([], alone)


def without(family: str, groups: Sequence[Voxels]) -> list[Voxels]:
    """Groups of other families."""
    return [g for g in groups if crystal_of(g.family) != crystal_of(family)]


def left_out_one_by_one(
    groups: Sequence[Voxels], borrowed: Sequence[Voxels] = (), left_out: dict[str, Array] | None = None
) -> dict[str, Any]:
    """Coverage, log score and rank correlation of every family with error bars calibrated on the other families.

    ``left_out``: `left_out_weights` where they are known.
    """
    families: dict[str, Any] = {}
    for name, weights in (left_out_weights(groups, borrowed) if left_out is None else left_out).items():
        others, own = without(name, [*groups, *borrowed]), [g for g in groups if g.family == name]
        baselines = fit(others, CONSTANT), fit(others, DISTANCE)
        families[name] = quality(own, (weights, *baselines), conformal_factor(others, weights))
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


def foretold(found: Sequence[HeldOut], weights: dict[str, Array]) -> dict[str, Any]:
    """How well the error of whole structures is known beforehand, families left out one by one (`left_out_weights`).

    By what σ amounts to, by the novelty of their atoms, and by the out-of-distribution score.
    """
    rows = []
    for f in found:
        expected = expected_error(f.voxels, weights[f.label.family])
        score = {"novelty": of_structure(f.novelty), "score": f.score}
        rows.append({"name": f.label.name, "family": f.label.family, **score, "expected": expected})
        rows[-1]["error"] = actual_error(f.voxels)
    errors = np.array([row["error"] for row in rows])
    result: dict[str, Any] = {"structures": rows, "bad_above": BAD, "bad": int((errors > BAD).sum())}
    for key in ("expected", "novelty", "score"):
        values = np.array([row[key] for row in rows])
        result[f"rank_correlation_{key}"] = spearman(errors, values)
        result[f"auroc_bad_{key}"] = auroc(values[errors <= BAD], values[errors > BAD])
    return result


def novelty_report(found: Sequence[HeldOut], trained: set[str], unseen: set[str], bank: NoveltyBank) -> dict[str, Any]:
    """AUROC of the out-of-distribution score: unseen chemistries against new parents of families trained on."""
    usual = [f.score for f in found if f.label.name not in unseen and f.label.family in trained]
    strange = [f for f in found if f.label.name in unseen]
    no_new_element = [f for f in strange if set(f.label.structure.numbers.tolist()) <= bank.elements]
    return {
        "auroc": auroc(usual, [f.score for f in strange]),
        "auroc_without_new_elements": auroc(usual, [f.score for f in no_new_element]),
        "known": len(usual),
        "unseen": len(strange),
        "unseen_without_new_elements": len(no_new_element),
    }


def potential_report(found: Sequence[HeldOut], weights: dict[str, Array]) -> tuple[dict[str, Any], float]:
    """Coverage of the projected potential with families left out (`left_out_weights`), and the factor for all."""
    told = [f for f in found if len(f.potential[0])]  # chosen voxels alone do not tell it, nor does a single member
    if len({crystal_of(f.label.family) for f in told}) < 2:
        return {}, 1.0
    ratios: dict[str, list[Array]] = {f.label.family: [] for f in told}
    for f in told:
        error, spread = f.potential
        allowed = HALF_WIDTH * spread * error_over_spread(f.voxels.inputs, weights[f.label.family])
        ratios[f.label.family].append(np.abs(error) / (allowed + 1e-12))

    def factor(names: Sequence[str]) -> float:
        chosen = [(name, ratio) for name in names for ratio in ratios[name]]
        shares = family_shares([name for name, _ in chosen], [ratio for _, ratio in chosen])
        return weighted_quantile(np.concatenate([ratio for _, ratio in chosen]), shares, LEVEL)

    result = {}
    for name, own in ratios.items():
        others = factor([other for other in ratios if crystal_of(other) != crystal_of(name)])
        result[name] = fmean(float((ratio <= others).mean()) for ratio in own)
    return {"coverage": fmean(result.values()), "families": result}, factor(list(ratios))
