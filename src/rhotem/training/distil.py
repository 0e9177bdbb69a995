"""Distillation: a small network learns from a large one what it says of structures that have no labels.

The density is linear in the coefficients of the spherical readout, and functions of different centres are linearly
independent. So two models with the same functions are compared by their coefficients; no voxels are needed.
G. Hinton, O. Vinyals, J. Dean, arXiv:1503.02531 (2015).
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, Progress, silent
from rhotem.density.metrics import G_MAX
from rhotem.labels.sampler import draw
from rhotem.learned.model import LearnedModel, load_model
from rhotem.learned.radial import Block
from rhotem.learned.weights import find_model, fingerprint
from rhotem.structure.model import Structure
from rhotem.training.checkpoint import load_tensors, save_tensors
from rhotem.training.config import DistilSettings
from rhotem.training.network.graph import Graph, build_graph, join
from rhotem.training.network.model import DensityModel
from rhotem.training.split import Split

#: Typical |Δn| between atoms, e/Å³: what an atom's own functions are compared with where they have ended.
BETWEEN = 0.01
#: Smallest |g| (1/Å) of the potential of a single atom: beyond 10 Å its neighbours make up for its charge.
G_MIN = 0.1
#: Share of the loss that is of the mean of the members; the rest is of each of them.
MEAN = 0.7
#: One of so many drawn structures is watched and not learned from.
WATCHED = 20
#: Structures whose coefficients are one file: what an interruption costs.
PIECE = 50


class Metric:
    """How far apart the densities of an atom are, from the difference of their coefficients.

    Density: √∫ δ²/ρ d³r with ρ(r) the mean size of Δn at that distance from an atom. By Cauchy–Schwarz it is, times
    √∫ρ, an upper bound of ∫|δ|, equal to it where |δ| ∝ ρ: a quadratic form that counts voxels as the deformation error
    does. (Without the weight the norm would see little but d orbitals, whose squares are largest.)
    Potential: √∫ |δ(g)|²/g⁴ d³g over G_MIN < |g| < 2/Å.

    Parameters
    ----------
    blocks : tuple of Block
        The functions.
    coefficients : sequence of (N, functions, (lmax+1)²) tensors
        Typical ones: they give ρ.
    """

    def __init__(self, blocks: tuple[Block, ...], coefficients: Sequence[torch.Tensor]) -> None:
        self.blocks = blocks
        r, w = _radii(blocks)
        self.size = _mean_size(blocks, coefficients, r) + BETWEEN
        g, wg = np.polynomial.legendre.leggauss(60)
        g, wg = G_MIN + (G_MAX - G_MIN) * 0.5 * (g + 1.0), wg * 0.5 * (G_MAX - G_MIN)
        self.roots: list[tuple[torch.Tensor, torch.Tensor]] = []
        for l in range(max(b.lmax for b in blocks) + 1):
            f = np.concatenate([b.radial(r) * r**l for b in blocks if b.lmax >= l])
            transform = np.concatenate([b.transform(g, l) for b in blocks if b.lmax >= l])
            rows = (f * np.sqrt(w * r**2 / self.size), transform * np.sqrt(wg) / g)
            self.roots.append((_root(rows[0]), _root(rows[1])))

    def __call__(self, coefficients: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Squares of both norms, (…, N), of coefficients (…, N, functions, (lmax+1)²) per block."""
        density = potential = torch.zeros(())
        for l, (root, slow) in enumerate(self.roots):
            m = slice(l * l, (l + 1) ** 2)
            own = [c[..., m] for b, c in zip(self.blocks, coefficients, strict=True) if b.lmax >= l]
            whole = torch.cat(own, dim=-2)
            density = density + (root.to(whole) @ whole).square().sum((-2, -1))
            potential = potential + (slow.to(whole) @ whole).square().sum((-2, -1))
        return density, potential


def _radii(blocks: tuple[Block, ...]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Points and weights from 0 to the last cutoff, Gauss–Legendre in √r between the ends of the blocks."""
    x, w = np.polynomial.legendre.leggauss(100)
    points, weights = [], []
    for a, b in pairwise([0.0, *sorted({math.sqrt(block.cutoff) for block in blocks})]):
        t = a + (b - a) * 0.5 * (x + 1.0)
        points.append(t**2)
        weights.append(w * (b - a) * t)
    return np.concatenate(points), np.concatenate(weights)


def _mean_size(
    blocks: tuple[Block, ...], coefficients: Sequence[torch.Tensor], r: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Mean over atoms of the root mean square of their Δn over the sphere of radius r, e/Å³."""
    total: list[npt.NDArray[np.float64]] = []
    for l in range(max(b.lmax for b in blocks) + 1):
        m = slice(l * l, (l + 1) ** 2)
        parts = [
            np.einsum("anm,nr->amr", c[..., m].double().numpy(), b.radial(r) * r**l)
            for b, c in zip(blocks, coefficients, strict=True)
            if b.lmax >= l
        ]
        total.append((np.sum(parts, axis=0) ** 2).sum(1))
    return np.sqrt(np.sum(total, axis=0) / (4.0 * math.pi)).mean(0)


def _root(rows: npt.NDArray[np.float64]) -> torch.Tensor:
    """A square matrix R with |R x|² = |xᵀ rows|²."""
    return torch.from_numpy(np.linalg.qr(rows.T, mode="r"))


@dataclass(frozen=True, eq=False)
class Lesson:
    """A structure and what the teacher says of it: (members, N, functions, (lmax+1)²) per block."""

    graph: Graph
    taught: tuple[torch.Tensor, ...]


class Distillation:
    """The teacher's coefficients, and how far the student is from them.

    Parameters
    ----------
    settings : DistilSettings
    student : DensityModel
        With the functions of the teacher, and one member or as many as it.
    known : sequence of Structure
        Those of the labels trained on, which are learned from, too.
    away : set of str
        Reduced formulas that are not drawn: those of the labels held out.
    folder : Path
        Of the run; the teacher's coefficients are kept in ``teacher`` there.

    Raises
    ------
    InputError
        If the teacher cannot be loaded, or does not fit the student.
    """

    def __init__(
        self,
        settings: DistilSettings,
        student: DensityModel,
        known: Sequence[Structure],
        away: set[str],
        folder: Path,
        progress: Progress = silent,
    ) -> None:
        self.settings = settings
        teacher, header = load_model(settings.teacher)
        self.name = str(header["info"].get("name", settings.teacher))
        check(teacher, student)
        elements = set(teacher.settings.elements) & set(student.settings.elements)
        drawn = draw_structures(settings, elements, away)
        structures = drawn + [s for s in known if elements.issuperset(s.numbers.tolist())]
        weights = fingerprint(find_model(settings.teacher))
        coefficients = ask(teacher, weights, structures, folder / "teacher", progress)
        lessons = [_lesson(s, c, student) for s, c in zip(structures, coefficients, strict=True)]
        self.metric = Metric(
            teacher.readout.blocks, [torch.cat(b) for b in zip(*(_mean(x.taught) for x in lessons), strict=True)]
        )
        self.watched = lessons[: len(drawn) : WATCHED]
        held = {id(x) for x in self.watched}
        self.lessons = [x for x in lessons if id(x) not in held]
        with torch.no_grad():  # the sizes to start from: known, of the same functions
            sizes = (teacher.weights.part("readout"), *teacher.weights.part("others").numbered)
            for mine, theirs in zip((student.readout, *student.others), sizes, strict=False):
                mine.log_scale.copy_(torch.from_numpy(theirs["log_scale"]))

    @classmethod
    def of(
        cls,
        settings: DistilSettings | None,
        student: DensityModel,
        split: Split,
        folder: Path,
        progress: Progress = silent,
    ) -> Self | None:
        """The distillation that a run asks for, or None."""
        if settings is None:
            return None
        away = {label.formula for part in (*split.held_out.values(), split.excluded) for label in part}
        return cls(settings, student, [label.structure for label in split.train], away, folder, progress)

    def loss(self, model: DensityModel, rng: np.random.Generator, potential_weight: float) -> torch.Tensor:
        """Distance of drawn structures: of the density plus ``potential_weight`` times that of the potential."""
        count = min(self.settings.structures_per_step, len(self.lessons))
        chosen = [self.lessons[i] for i in rng.choice(len(self.lessons), count, replace=False)]
        density, potential = self.distance(model, chosen)
        weight = density.new_full((len(density),), (1.0 - MEAN) / max(1, len(density) - 1))
        weight[0] = MEAN if len(density) > 1 else 1.0
        return self.settings.weight * (weight @ (density + potential_weight * potential))

    def measure(self, model: DensityModel) -> float:
        """Distance of the density over the structures that are only watched."""
        with torch.no_grad():
            each = [float(self.distance(model, [lesson])[0][0]) for lesson in self.watched]
        return sum(each) / max(1, len(each))

    def summary(self, model: DensityModel) -> dict[str, Any]:
        """What the description of the result says of it."""
        return {"teacher": self.name, "structures": len(self.lessons), "distance": self.measure(model)}

    def distance(self, model: DensityModel, lessons: Sequence[Lesson]) -> tuple[torch.Tensor, torch.Tensor]:
        """Distances relative to the teacher's density and potential, mean over structures; the mean model's, then those
        of the members if there are several.
        """
        device = next(model.parameters()).device
        graph = join([x.graph for x in lessons]).to(device)
        taught = tuple(torch.cat(c, dim=1).to(device) for c in zip(*(x.taught for x in lessons), strict=True))
        said = model.member_coefficients(graph)
        if model.settings.members == 1:
            taught = tuple(c.mean(0, keepdim=True) for c in taught)
        else:
            said, taught = ((tuple(torch.cat([c.mean(0, keepdim=True), c]) for c in x)) for x in (said, taught))
        wrong = self.metric([a - b for a, b in zip(said, taught, strict=True)])
        whole = self.metric([c[:1] for c in taught])

        def by_cell(x: torch.Tensor) -> torch.Tensor:
            return x.new_zeros(len(x), len(lessons)).index_add(1, graph.cell_index, x)

        # atoms side by side: their norms add up in the density; in the potential waves of random phase do
        density = by_cell((wrong[0] + 1e-16).sqrt()) / by_cell(whole[0].sqrt())
        potential = (by_cell(wrong[1]) / by_cell(whole[1]) + 1e-16).sqrt()
        return density.mean(1), potential.mean(1)


def check(teacher: LearnedModel, student: DensityModel) -> None:
    """Whether the one can learn from the other.

    Raises
    ------
    InputError
        If readouts or members differ.
    """
    if not (teacher.can.linear and student.can.linear):
        raise InputError("distil: teacher and student need the spherical readout; coefficients are what is learned")
    if teacher.readout.blocks != student.readout.blocks:
        raise InputError(
            "distil: the student's radial functions are not the teacher's; copy spherical.near and spherical.far from "
            "`rhotem model info TEACHER --json`"
        )
    known, wanted = teacher.settings.members, student.settings.members
    if wanted not in (1, known):
        raise InputError(
            f"distil: the student has {wanted} members, the teacher {known}; set model.members to that or 1"
        )


def draw_structures(settings: DistilSettings, elements: set[int], away: set[str]) -> list[Structure]:
    """Structures of `rhotem.labels.sampler` of known elements, none of whose reduced formula is in ``away``.

    Raises
    ------
    InputError
        If the sampler hardly ever makes one.
    """
    rng = np.random.default_rng(settings.seed)
    found: list[Structure] = []
    for _ in range(20 * settings.structures + 100):
        if len(found) == settings.structures:
            return found
        try:
            structure = draw(rng).build()
        except InputError:
            continue  # a recipe that asks for atoms that are not there
        formula = structure.atoms.get_chemical_formula(mode="hill", empirical=True)
        fits = len(structure) <= settings.max_atoms and elements.issuperset(structure.numbers.tolist())
        if fits and formula not in away:
            found.append(structure)
    raise InputError(f"distil: the sampler made {len(found)} of {settings.structures} structures; raise max_atoms")


def ask(
    teacher: LearnedModel, weights: str, structures: Sequence[Structure], folder: Path, progress: Progress = silent
) -> list[tuple[torch.Tensor, ...]]:
    """Coefficients of the teacher's members; kept in files, named after weights and structures, and read again."""
    folder.mkdir(parents=True, exist_ok=True)
    result: list[tuple[torch.Tensor, ...]] = []
    for start in range(0, len(structures), PIECE):
        piece = structures[start : start + PIECE]
        path = folder / f"{_digest(weights, piece)}.safetensors"
        if not path.exists():
            answers = [[torch.from_numpy(c) for c in teacher.readout.prepare_members(s)] for s in piece]
            joined = {f"block{i}": torch.cat(c, dim=1) for i, c in enumerate(zip(*answers, strict=True))}
            save_tensors(path, joined)
        known = load_tensors(path)
        blocks = [known[f"block{i}"].split([len(s) for s in piece], dim=1) for i in range(len(known))]
        result += list(zip(*blocks, strict=True))
        progress("asking the teacher", len(result), len(structures))
    return result


def _digest(weights: str, structures: Sequence[Structure]) -> str:
    whole = hashlib.sha256(weights.encode())
    for s in structures:
        for array in (s.numbers, s.positions, s.cell, np.array(s.charge)):
            whole.update(np.ascontiguousarray(array, dtype=float).tobytes())
    return whole.hexdigest()[:24]


def _lesson(structure: Structure, taught: tuple[torch.Tensor, ...], student: DensityModel) -> Lesson:
    s = structure
    graph = build_graph(s.numbers, s.positions, s.cell, student.encoder.cutoff, s.charge).to("cpu")
    order = torch.argsort(graph.centre, stable=True)  # sorted edges are summed up faster
    edges = {name: getattr(graph, name)[order] for name in ("centre", "neighbour", "vectors")}
    return Lesson(replace(graph, **edges), taught)


def _mean(taught: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(c.mean(0) for c in taught)
