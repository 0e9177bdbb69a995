"""What weights make of elements that they were never trained on, measured on labels of these."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, Progress, silent
from rhotem.labels.label import Label
from rhotem.labels.score import score_label
from rhotem.learned.calibration import HALF_WIDTH, LEVEL, Calibration
from rhotem.learned.error_bars import nearest_atoms, widening
from rhotem.learned.model import LearnedModel
from rhotem.learned.newcomers import Measured
from rhotem.learned.radial import geometric_weight
from rhotem.structure.model import Structure
from rhotem.training.error_bars.calibrate import draw, projected_potential_errors
from rhotem.training.error_bars.fit import weighted_quantile

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Compound:
    """A label with elements that were not trained on.

    Parameters
    ----------
    label : Label
    error, potential : float
        Of Δn and of its potential; free atoms have 1.
    around : dict
        Error within the cutoff of the atoms of each new element, by atomic number.
    voxels, waves : arrays
        |error| over the half-width of the 90 % interval as it is without new elements: of voxels, and of the projected
        potential.
    """

    label: Label
    error: float
    potential: float
    around: dict[int, float]
    voxels: Array
    waves: Array


def with_new_elements(labels: Sequence[Label], model: LearnedModel) -> list[Label]:
    """Those of ``labels`` with elements of few or no training labels, and a spin to be trusted."""
    return [x for x in labels if not x.suspect and not set(x.structure.numbers.tolist()) <= model.known_elements]


def measure(model: LearnedModel, calibration: Calibration, label: Label, seed: int = 0) -> Compound:
    """Errors of one label, predicted with nothing left free."""
    newcomers, model.newcomers = model.newcomers, None
    try:
        structure, readout = label.structure, model.readout
        each = None
        if model.can.linear or model.settings.members == 1:
            values = readout.values(readout.prepare(structure), structure, label.grid)
        else:  # grids cost more than all else: evaluated once
            each = list(readout.members_on_grid(readout.prepare_members(structure), structure, label.grid))
            values = np.mean(each, axis=0)
        scores = score_label(values, label)
        rng = np.random.default_rng(seed)
        drawn = draw(model, label, calibration.bank.novelty(model, structure), rng)
        error, spread = projected_potential_errors(model, label, rng, each)
        allowed = HALF_WIDTH * spread * widening(model, calibration, structure)
    finally:
        model.newcomers = newcomers
    return Compound(
        label,
        scores.deformation_error,
        scores.potential_error_ratio,
        _around(model, label, values),
        np.abs(drawn.error) / (HALF_WIDTH * calibration.sigma(drawn.inputs)),
        np.abs(error) / (allowed + 1e-12),
    )


def summarise(compounds: Sequence[Compound]) -> Measured:
    """Errors by element, and by how much error bars are widened; compounds of one formula are left out together.

    Raises
    ------
    InputError
        If there are fewer than three formulas.
    """
    formulas = sorted({c.label.formula for c in compounds})
    if len(formulas) < 3:
        raise InputError(f"new elements: labels of {len(formulas)} compounds, expected at least 3")
    elements = sorted({z for c in compounds for z in c.around})
    rows = {z: [c for c in compounds if z in c.around] for z in elements}
    report: dict[str, Any] = {}
    for name in ("voxels", "waves"):
        ratios = {f: [getattr(c, name) for c in compounds if c.label.formula == f] for f in formulas}
        inside = {
            f: [float((r <= _factor([x for g, x in ratios.items() if g != f])).mean()) for r in own]
            for f, own in ratios.items()
        }
        every = [share for own in inside.values() for share in own]
        report[name] = {
            "coverage": fmean(every),
            "between_85_and_95_percent": fmean(0.85 <= share <= 0.95 for share in every),
            "least": min(every),
            "by_compound": {f: round(fmean(own), 3) for f, own in inside.items()},
        }
    return Measured(
        {z: fmean(c.around[z] for c in own) for z, own in rows.items()},
        {z: float(np.exp(fmean(np.log(c.potential) for c in own))) for z, own in rows.items()},
        {z: tuple(sorted({c.label.formula for c in own})) for z, own in rows.items()},
        _factor([[c.voxels for c in compounds if c.label.formula == f] for f in formulas]),
        _factor([[c.waves for c in compounds if c.label.formula == f] for f in formulas]),
        report,
    )


def study(
    model: LearnedModel, calibration: Calibration, labels: Sequence[Label], progress: Progress = silent
) -> list[Compound]:
    """`measure` of every label with new elements."""
    chosen, found = with_new_elements(labels, model), []
    for done, label in enumerate(chosen):
        found.append(measure(model, calibration, label))
        progress("new elements", done + 1, len(chosen))
    return found


def _factor(groups: Sequence[Sequence[Array]]) -> float:
    """The `LEVEL` quantile of ratios, formulas counted alike and the labels of a formula."""
    values = [np.concatenate(list(group)) for group in groups]
    shares = [np.concatenate([np.full(len(r), 1.0 / (len(r) * len(group))) for r in group]) for group in groups]
    return weighted_quantile(np.concatenate(values), np.concatenate(shares), LEVEL)


def _around(model: LearnedModel, label: Label, values: Array) -> dict[int, float]:
    """Σ w|Δn̂ − Δn|/Σ w|Δn| by new element, w the geometric weight of the distance to its nearest atom."""
    structure, grid = label.structure, label.grid
    index = np.arange(grid.size) if label.voxels is None else label.voxels.index
    each = 1.0 if label.voxels is None else label.voxels.weight.astype(float)
    points = np.stack(np.unravel_index(index, grid.shape), -1) / np.array(grid.shape) @ grid.cell
    target = label.treated.ravel()
    off = np.abs(values.ravel()[index] - target)
    result = {}
    for z in sorted(set(structure.numbers.tolist()) - model.known_elements):
        own = Structure(structure.atoms[structure.numbers == z])
        weight = each * geometric_weight(nearest_atoms(own, points)[0] / model.readout.cutoff)
        result[z] = float((weight * off).sum() / (weight * np.abs(target)).sum())
    return result
