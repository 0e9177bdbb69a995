"""How good a model is on labels: three metrics beside free atoms, and its speed."""

import time
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from rhotem.core import Progress, silent
from rhotem.labels.label import Label
from rhotem.labels.score import score_label
from rhotem.learned.model import LearnedModel
from rhotem.training.spin import spin_accuracy

#: Numbers that are averaged over structures.
AVERAGED = ("nmae_valence_percent", "deformation_error", "potential_error_ratio", "free_atom_nmae_percent")


def evaluate_label(model: LearnedModel, label: Label) -> dict[str, Any]:
    """Metrics of one structure on the grid of its label, and the time from atoms to array."""
    s = label.structure
    began = time.perf_counter()
    prepared = model.readout.prepare(s)
    encoded = time.perf_counter()
    values = model.readout.values(prepared, s, label.grid)
    done = time.perf_counter()
    scores = score_label(values, label)
    return {
        "name": label.name,
        "family": label.family,
        "formula": label.formula,
        "atoms": len(s),
        "suspect": label.suspect,
        "trained_elements": set(s.numbers.tolist()) <= set(model.settings.elements),
        "nmae_valence_percent": scores.nmae_valence_percent,
        "deformation_error": scores.deformation_error,
        "potential_error_ratio": scores.potential_error_ratio if label.has_coefficients else None,
        "free_atom_nmae_percent": scores.free_atoms_nmae_valence_percent,
        "voxels_per_second": label.grid.size / (done - began),
        "encoder_atoms_per_second": len(s) / (encoded - began),
        "readout_voxels_per_second": label.grid.size / (done - encoded),
        "electrons_off": float(label.grid.integrate(values) + s.charge),
    }


def evaluate(model: LearnedModel, labels: Sequence[Label], progress: Progress = silent) -> dict[str, Any]:
    """``{"overall": {...}, "families": {...}, "structures": [...]}`` of a set of labels; ``spin`` where it is given."""
    structures = []
    for done, label in enumerate(labels):
        structures.append(evaluate_label(model, label))
        progress("evaluating", done + 1, len(labels))
    families = {
        family: overall([s for s in structures if s["family"] == family])
        for family in sorted({s["family"] for s in structures})
    }
    result = {"overall": overall(structures), "families": families, "structures": structures}
    return result if model.spin is None else {**result, "spin": spin_accuracy(model, labels)}


def overall(structures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean over structures, with medians beside it; empty for none."""
    if not structures:
        return {}
    result: dict[str, Any] = {"structures": len(structures)}
    for name in AVERAGED:
        values = [s[name] for s in structures if s[name] is not None]
        if values:  # labels with chosen voxels only may not tell the error of the potential
            result[name] = fmean(values)
            result[f"{name}_median"] = median(values)
    total = sum(s["atoms"] / s["encoder_atoms_per_second"] for s in structures)
    result["encoder_atoms_per_second"] = sum(s["atoms"] for s in structures) / total
    result["voxels_per_second"] = median(s["voxels_per_second"] for s in structures)
    return result
