"""Training of the spin head: labels with a magnetisation, voxels drawn in proportion to it, its error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

import numpy as np
import torch

from rhotem.core import InputError
from rhotem.density.charges import hirshfeld_charges
from rhotem.density.field import DensityField
from rhotem.labels.label import Label
from rhotem.learned.model import LearnedModel
from rhotem.learned.settings import ModelSettings
from rhotem.learned.spin import magnetisation, moment_signs
from rhotem.training.checkpoint import as_learned
from rhotem.training.dataset import Drawn, Sample, running_share
from rhotem.training.loss import voxel_error
from rhotem.training.network.graph import Graph, join
from rhotem.training.network.model import DensityModel
from rhotem.training.network.spin import SpinHead
from rhotem.training.watch import values_at

#: Added to ∫|m| (µB) where an error is divided by it: cells whose moments vanish are to be learned, too.
SMALLEST = 0.5


@dataclass(frozen=True, eq=False)
class SpinGoal:
    """The magnetisation of one label.

    Parameters
    ----------
    sample : Sample
        Its ``values`` are m in µB/Å³, treated near nuclei.
    signs : (N,) tensor
        Of the starting moments.
    scale : float
        ∫|m| + SMALLEST over the volume, µB/Å³.
    """

    sample: Sample
    signs: torch.Tensor
    scale: float

    def error(self, coefficients: tuple[torch.Tensor, ...], model: DensityModel, drawn: Drawn) -> torch.Tensor:
        """Estimate of Σ|m̂ − m| / (Σ|m| + SMALLEST)."""
        device = coefficients[0].device
        predicted = values_at([spin_of(model)], coefficients, self.sample, drawn.points)
        return voxel_error(predicted, drawn.target.to(device), drawn.weight.to(device), self.scale)


def spin_goal(label: Label, sample: Sample) -> SpinGoal:
    """What to learn from a label; ``sample``: the same label with the graph of its atoms."""
    values = label.treated_magnetization.ravel().astype(np.float32)
    sizes = np.abs(values)
    mean = float(sizes.mean()) if label.voxels is None else label.voxels.mean(sizes, label.grid.size)
    own = replace(sample, values=values, cumulative=running_share(sizes, label.voxels, 1e-9), scale=mean)
    scale = mean + SMALLEST / label.grid.volume
    return SpinGoal(own, torch.from_numpy(moment_signs(label.structure)).float(), scale)


class SpinTraining:
    """Labels with a magnetisation: the error of m on those trained on, and what is watched on the others.

    Parameters
    ----------
    model : DensityModel
        With a spin head; its ``spin_elements`` are set.
    trained : sequence of (Label, Sample)
    held_out : mapping of names to sequences of (Label, Sample)
    structures, points : int
        Drawn in every step, and voxels of each.
    """

    def __init__(
        self,
        model: DensityModel,
        trained: Sequence[tuple[Label, Sample]],
        held_out: Mapping[str, Sequence[tuple[Label, Sample]]],
        structures: int,
        points: int,
    ) -> None:
        self.goals = [spin_goal(*pair) for pair in trained if pair[0].magnetization is not None]
        if not self.goals:
            raise InputError("model.spin: no label trained on has a magnetisation; give spin-polarised labels")
        self.structures, self.points = min(structures, len(self.goals)), points
        with_moment = [g.sample.graph.numbers[g.signs != 0] for g in self.goals]
        model.settings.spin_elements = sorted({int(z) for numbers in with_moment for z in numbers})
        self.watched: dict[str, list[tuple[Label, SpinGoal]]] = {}
        for name, pairs in held_out.items():
            goals = [
                (label, spin_goal(label, sample)) for label, sample in pairs if is_comparable(model.settings, label)
            ]
            if goals:
                self.watched[name] = goals

    def loss(self, model: DensityModel, rng: np.random.Generator, device: torch.device) -> torch.Tensor:
        """Error of m of some structures, at voxels drawn anew."""
        chosen = [self.goals[i] for i in rng.choice(len(self.goals), self.structures, replace=False)]
        drawn = [goal.sample.draw(self.points, rng) for goal in chosen]
        graph = join([goal.sample.graph for goal in chosen]).to(device)
        sizes = [len(goal.signs) for goal in chosen]
        found = self._read(model, graph, torch.cat([goal.signs for goal in chosen]).to(device))
        each = zip(*(block.split(sizes) for block in found), strict=True)
        errors = [goal.error(own, model, d) for goal, own, d in zip(chosen, each, drawn, strict=True)]
        return torch.stack(errors).mean()

    def measure(self, model: DensityModel, points: int, device: torch.device) -> dict[str, float]:
        """Mean estimate of the error of m by part, at fixed voxels."""
        result = {}
        for name, goals in self.watched.items():
            errors = []
            for _, goal in goals:
                drawn = goal.sample.draw(points, np.random.default_rng(0))
                with torch.no_grad():
                    found = self._read(model, goal.sample.graph.to(device), goal.signs.to(device))
                    errors.append(float(goal.error(found, model, drawn)))
            result[name] = fmean(errors)
        return result

    def _read(self, model: DensityModel, graph: Graph, signs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return spin_of(model)(model.encoder(graph), graph, signs)

    def summary(self, model: DensityModel) -> dict[str, Any]:
        """Errors of m of everything held out, on the grids of the labels."""
        ready = as_learned(model)
        return {name: spin_accuracy(ready, [label for label, _ in goals]) for name, goals in self.watched.items()}


def spin_of(model: DensityModel) -> SpinHead:
    """The spin head of a network that has one."""
    if model.spin is None:
        raise InputError("model: has no spin density; set model.spin = true")
    return model.spin


def is_comparable(settings: ModelSettings, label: Label) -> bool:
    """Whether a label has a magnetisation, and moments only on elements that had them in training."""
    if not settings.spin or label.magnetization is None:
        return False
    return set(label.structure.numbers[moment_signs(label.structure) != 0]) <= set(settings.spin_elements)


def spin_accuracy(model: LearnedModel, labels: Sequence[Label]) -> dict[str, Any]:
    """How good m is on labels: overall, and by structure.

    ``spin_error`` is Σ|m̂ − m|/Σ|m| of labels with ∫|m| of at least SMALLEST µB (no magnetisation at all would have 1);
    ``false_muB`` is ∫|m̂| of the others; ``moment_error_muB`` the mean error of Hirshfeld moments of atoms that start
    with one. Labels that are not comparable or keep chosen voxels only are left out.
    """
    rows = [_accuracy(model, label) for label in labels if label.complete and is_comparable(model.settings, label)]
    magnetic = [row for row in rows if row["spin_error"] is not None]
    overall: dict[str, Any] = {"structures": len(rows), "magnetic": len(magnetic)}
    for key in ("spin_error", "moment_error_muB", "total_moment_error_muB"):
        values = [row[key] for row in magnetic]
        if values:
            overall |= {key: fmean(values), f"{key}_median": median(values)}
    false = [row["absolute_muB"] for row in rows if row["spin_error"] is None]
    if false:
        overall["false_muB"] = fmean(false)
    return {"overall": overall, "structures": rows}


def _accuracy(model: LearnedModel, label: Label) -> dict[str, Any]:
    s, grid = label.structure, label.grid
    reference = label.treated_magnetization
    predicted, record = magnetisation(model, s, grid)
    size = grid.integrate(np.abs(reference))
    atoms = moment_signs(s) != 0
    # moments are linear in m: Hirshfeld "charges" of the difference
    off = hirshfeld_charges(DensityField("deformation", s, grid, predicted - reference))
    distance = grid.integrate(np.abs(predicted - reference))
    return {
        "name": label.name,
        "family": label.family,
        "formula": label.formula,
        "spin_error": distance / size if size >= SMALLEST else None,
        "absolute_muB": grid.integrate(np.abs(predicted)),
        "absolute_reference_muB": size,
        "moment_error_muB": float(np.abs(off[atoms]).mean()) if atoms.any() else 0.0,
        "total_moment_error_muB": abs(record["total_moment_muB"] - label.moment),
        "total_moment_muB": record["total_moment_muB"],
        "total_moment_reference_muB": label.moment,
    }
