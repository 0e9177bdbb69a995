"""Labels as training sees them: treated near nuclei, split by parent, voxels drawn once and sorted by atom."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.labels import read as labels_of
from rhotem.labels.label import Label
from rhotem.labels.voxels import Selection
from rhotem.learned.pairs import images_near_cell, probe_pairs
from rhotem.structure.model import Structure
from rhotem.structure.moments import starting_moments
from rhotem.training.network.graph import Graph, build_graph
from rhotem.training.network.readouts.spherical import Pairs, Probes

#: Share of the voxels drawn evenly; the others in proportion to |Δn|.
EVEN = 0.35
#: A local moment in Bohr magnetons from which its sign is clear.
CLEAR = 0.5


def read_label(path: str | Path) -> Label:
    """One label of the reader, its structure with the signs that magnetic atoms ended with.

    Raises
    ------
    InputError
        As `rhotem.labels.read.read_label`, and if numbers are not finite.
    """
    return _started(labels_of.read_label(path))


def _started(label: Label) -> Label:
    """The label with starting moments, where not all are up; its numbers are checked."""
    if not np.isfinite(label.deformation).all():
        raise InputError(f"label {label.name}: the deformation density has NaN; make it again")
    if label.magnetization is None:
        return label
    if not np.isfinite(label.magnetization).all():
        raise InputError(f"label {label.name}: the magnetisation has NaN; make it again")
    return replace(label, structure=replace(label.structure, moments=_turned(label.structure, label.magmoms)))


def _turned(structure: Structure, local: npt.NDArray | None) -> npt.NDArray[np.float64] | None:
    """Starting moments with the signs that magnetic atoms ended with; None if all are up."""
    start = starting_moments(structure)
    if local is None or not (down := (local < -CLEAR) & (start > 0)).any():
        return None
    return np.where(down, -start, start)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Voxels of one structure: ``points`` (P, 3) in Å, ``target`` (P,) in e/Å³, ``weight`` (P,).

    The mean of weight · f over the points estimates the cell mean of f.
    """

    points: npt.NDArray[np.float32]
    target: torch.Tensor
    weight: torch.Tensor


@dataclass(eq=False)
class Sample:
    """A label ready for training: its graph, and its voxels to draw from.

    ``images`` (I, 3): atoms and their periodic images within reach of the cell, Å, sorted by atom; ``owner`` (I,):
    which atom. ``values`` (n,): Δn in e/Å³ at the voxels; ``cumulative``: the sum of |Δn|, each as often as the voxel
    stands for, up to there, as a share; ``scale``: mean |Δn| over the cell; ``voxels``: which, None for the whole grid
    in its order.
    """

    name: str
    parent: str
    graph: Graph
    grid: PeriodicGrid
    images: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    cumulative: npt.NDArray[np.float64]
    reaches: tuple[float, float]
    scale: float
    voxels: Selection | None = None

    @cached_property
    def _evenly(self) -> npt.NDArray[np.float64]:
        """Share of the cell that voxels up to each stand for; its last is the estimate of the whole cell, about 1."""
        assert self.voxels is not None
        return self.voxels.weight.cumsum(dtype=np.float64) / self.grid.size

    def draw(self, points: int, rng: np.random.Generator) -> Drawn:
        """Voxels drawn anew, a share of them evenly and the others in proportion to |Δn|."""
        even = round(EVEN * points)
        first, whole = self._even(even, rng)
        rest = np.minimum(np.searchsorted(self.cumulative, rng.random(points - even)), len(self.values) - 1)
        drawn = np.concatenate([first, rest])
        target = self.values[drawn]
        chance = even / points / whole + (1.0 - even / points) * np.abs(target) / self.scale
        return Drawn(
            points=(self.positions(drawn) @ self.grid.cell).astype(np.float32),
            target=torch.from_numpy(target),
            weight=torch.from_numpy((1.0 / chance).astype(np.float32)),
        )

    def positions(self, rows: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.float64]:
        """Fractional coordinates of voxels (all of them without ``rows``)."""
        flat = np.arange(len(self.values)) if self.voxels is None else self.voxels.index
        flat = flat if rows is None else flat[rows]
        return np.stack(np.unravel_index(flat, self.grid.shape), -1) / np.array(self.grid.shape)

    def _even(self, count: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], float]:
        """Rows of voxels drawn evenly from the cell, and how much of it all voxels stand for together."""
        if self.voxels is None:
            return rng.integers(0, len(self.values), count), 1.0
        whole = float(self._evenly[-1])
        rows = np.searchsorted(self._evenly, whole * rng.random(count))
        return np.minimum(rows, len(self.values) - 1), whole

    def probes(self, points: npt.NDArray[np.float32]) -> Probes:
        """Pairs of points and atoms within both reaches."""
        p, images = torch.from_numpy(points), torch.from_numpy(self.images)
        squares = torch.addmm((images**2).sum(1)[:, None], images, p.T, alpha=-2.0) + (p**2).sum(1)
        image, point = torch.nonzero(squares < max(self.reaches) ** 2, as_tuple=True)
        vectors, owner = p[point] - images[image], torch.from_numpy(self.owner)[image]
        squares, parts = (vectors**2).sum(1), []
        for reach in self.reaches:
            near = torch.nonzero(squares < reach**2)[:, 0]
            counts = torch.bincount(owner[near], minlength=len(self.graph.numbers)).tolist()
            parts.append(Pairs(point[near], vectors[near], counts))
        return Probes(len(points), *parts)


def make_sample(label: Label, cutoffs: tuple[float, float, float]) -> Sample:
    """Prepare a label; ``cutoffs``: of the encoder's edges, the near and the far block of the readout, Å."""
    s = label.structure
    values = label.treated.ravel().astype(np.float32)
    images, owner = images_near_cell(s.positions, s.cell, max(cutoffs[1:]))
    return Sample(
        name=label.name,
        parent=label.parent,
        graph=build_graph(s.numbers, s.positions, s.cell, cutoffs[0], s.charge).to("cpu"),
        grid=label.grid,
        images=images.astype(np.float32),
        owner=owner,
        values=values,
        cumulative=running_share(np.abs(values), label.voxels),
        reaches=(cutoffs[1], cutoffs[2]),
        scale=float(np.abs(values).mean()) if label.complete else label.absolute_mean,
        voxels=label.voxels,
    )


def running_share(sizes: npt.NDArray, voxels: Selection | None, least: float = 0.0) -> npt.NDArray[np.float64]:
    """The sum of sizes (n,) at voxels, each as often as it stands for, up to there, as a share of all.

    ``least`` is added to every size, where all may vanish.
    """
    sums = (sizes if voxels is None else sizes * voxels.weight).cumsum(dtype=np.float64)
    sums += least * np.arange(1, len(sums) + 1)
    return sums / sums[-1]


def make_probes(points: npt.NDArray[np.float64], structure: Structure, near: float, far: float) -> Probes:
    """Pairs of points (P, 3) in Å with the atoms within both reaches."""
    point, atom, vectors = probe_pairs(points, structure.positions, structure.cell, max(near, far))
    return Probes(len(points), *(_within(point, atom, vectors, reach, len(structure)) for reach in (near, far)))


def _within(point: npt.NDArray, atom: npt.NDArray, vectors: npt.NDArray[np.float64], reach: float, atoms: int) -> Pairs:
    keep = (vectors**2).sum(1) < reach**2
    counts = np.bincount(atom[keep], minlength=atoms).tolist()
    return Pairs(torch.from_numpy(point[keep]), torch.from_numpy(vectors[keep].astype(np.float32)), counts)


def read_labels(
    folders: Iterable[str | Path], progress: Progress = silent, wanted: Collection[str] | None = None
) -> list[Label]:
    """Labels of folders, files and shards, all or those ``wanted``; what is broken raises, it is not skipped."""
    folders = list(folders)
    count = len(labels_of.places(folders)) if wanted is None else len(wanted)
    labels: list[Label] = []
    for label in labels_of.read_labels(folders, wanted):
        labels.append(_started(label))
        progress("reading labels", len(labels), count)
    return labels
