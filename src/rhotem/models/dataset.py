"""Labels as training sees them: treated near nuclei, split by parent, voxels drawn once and sorted by atom."""

import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import ase
import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.density.metrics import treat_near_nuclei
from rhotem.models.graph import Graph, build_graph, probe_pairs
from rhotem.models.readouts.spherical import Pairs, Probes
from rhotem.structure.model import Structure

#: Share of the voxels drawn evenly; the others in proportion to |Δn|.
EVEN = 0.35


@dataclass(frozen=True, eq=False)
class Label:
    """One DFT deformation density.

    Parameters
    ----------
    name : str
    structure : Structure
        With its charge.
    grid : PeriodicGrid
    deformation : array of the grid's shape
        Treated near nuclei, e/Å³.
    family, formula : str
        Prototype and reduced composition; together the parent.
    suspect : bool
        A spin state that is not to be trusted: trained on, never tested on.
    """

    name: str
    structure: Structure
    grid: PeriodicGrid
    deformation: npt.NDArray[np.float64]
    family: str
    formula: str
    suspect: bool

    @property
    def parent(self) -> str:
        """Prototype and composition; distorted copies and those with vacancies elsewhere share it."""
        return f"{self.family} {self.formula}"


def read_label(path: str | Path, suspect: bool = False) -> Label:
    """Read one label file (docs/labels.md) and treat it near nuclei.

    Raises
    ------
    InputError
        If a field is missing, shapes do not fit, or numbers are not finite.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as data:
            fields = {name: data[name] for name in data.files}
        meta = json.loads(str(fields.get("meta", "{}")))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"label {path}: cannot be read ({error}); expected an npz of `rhotem labels`") from error
    missing = {"numbers", "positions", "cell", "deformation"} - set(fields)
    if missing:
        raise InputError(f"label {path}: lacks {', '.join(sorted(missing))}; expected an npz of `rhotem labels`")
    values = fields["deformation"].astype(float)
    if values.ndim != 3 or not np.isfinite(values).all():
        raise InputError(f"label {path}: the deformation density has NaN or is not three-dimensional; make it again")
    atoms = ase.Atoms(fields["numbers"], fields["positions"], cell=fields["cell"], pbc=True)
    structure = Structure(atoms, charge=float(fields.get("charge", 0.0)))
    grid = PeriodicGrid(fields["cell"], values.shape)
    treated, _ = treat_near_nuclei(values, structure, grid)
    family = str(meta.get("prototype", meta.get("family", "unknown"))).removesuffix("-vac")
    formula = atoms.get_chemical_formula(mode="hill", empirical=True)
    return Label(path.stem, structure, grid, treated, family, formula, bool(meta.get("suspect_spin", suspect)))


def label_files(folders: Iterable[str | Path]) -> list[tuple[Path, bool]]:
    """Label files of folders, each with what a manifest.csv beside it says of its spin state.

    Raises
    ------
    InputError
        If a folder is not there or holds no labels.
    """
    import csv

    result = []
    for folder in map(Path, folders):
        files = sorted(folder.glob("*.npz"))
        if not files:
            raise InputError(f"labels {folder}: no npz files there; give a folder of `rhotem labels`")
        manifest = folder / "manifest.csv"
        suspects: set[str] = set()
        if manifest.exists():
            with manifest.open(newline="") as stream:
                suspects = {row["file"] for row in csv.DictReader(stream) if row.get("suspect_spin") == "1"}
        result += [(path, path.name in suspects) for path in files]
    return result


@dataclass(eq=False)
class Sample:
    """A label ready for training: its graph and drawn voxels in equal batches.

    ``target`` (batches, P) in e/Å³; ``weight`` (batches, P): mean of weight · f over the voxels is the cell mean of f.
    """

    name: str
    parent: str
    graph: Graph
    probes: list[Probes]
    target: torch.Tensor
    weight: torch.Tensor
    scale: float
    extra: dict = field(default_factory=dict)


def make_sample(
    label: Label, cutoffs: tuple[float, float, float], batches: int, points: int, rng: np.random.Generator
) -> Sample:
    """Draw ``batches`` × ``points`` voxels of a label: evenly and in proportion to |Δn|.

    ``cutoffs``: of the encoder's edges, the near and the far block of the readout, Å.
    """
    values = label.deformation.ravel()
    size = np.abs(values)
    p = EVEN / len(values) + (1.0 - EVEN) * size / size.sum()
    s = label.structure
    drawn = rng.choice(len(values), (batches, points), p=p)
    probes = []
    for row in drawn:
        index = np.stack(np.unravel_index(row, label.grid.shape), -1) / np.array(label.grid.shape)
        probes.append(make_probes(index @ label.grid.cell, s, cutoffs[1], cutoffs[2]))
    return Sample(
        name=label.name,
        parent=label.parent,
        graph=build_graph(s.numbers, s.positions, s.cell, cutoffs[0], s.charge).to("cpu"),
        probes=probes,
        target=torch.from_numpy(values[drawn].astype(np.float32)),
        weight=torch.from_numpy((1.0 / (p[drawn] * len(values))).astype(np.float32)),
        scale=float(size.mean()),
    )


def make_probes(points: npt.NDArray[np.float64], structure: Structure, near: float, far: float) -> Probes:
    """Pairs of points (P, 3) in Å with the atoms within both reaches."""
    point, atom, vectors = probe_pairs(points, structure.positions, structure.cell, max(near, far))
    return Probes(len(points), *(_within(point, atom, vectors, reach, len(structure)) for reach in (near, far)))


def _within(point: npt.NDArray, atom: npt.NDArray, vectors: npt.NDArray[np.float64], reach: float, atoms: int) -> Pairs:
    keep = (vectors**2).sum(1) < reach**2
    counts = np.bincount(atom[keep], minlength=atoms).tolist()
    return Pairs(torch.from_numpy(point[keep]), torch.from_numpy(vectors[keep].astype(np.float32)), counts)


def join_probes(parts: list[Probes]) -> Probes:
    """Points of several structures as one, atoms numbered as `rhotem.models.graph.join` does."""
    starts = np.cumsum([0] + [p.count for p in parts])
    joined = []
    for kind in ("near", "far"):
        pairs = [getattr(p, kind) for p in parts]
        joined.append(
            Pairs(
                torch.cat([x.point + int(s) for x, s in zip(pairs, starts, strict=False)]),
                torch.cat([x.vectors for x in pairs]),
                [n for x in pairs for n in x.per_atom],
            )
        )
    return Probes(int(starts[-1]), *joined)


def read_labels(folders: Iterable[str | Path], progress: Progress = silent) -> list[Label]:
    """All labels of folders; files that are being written or broken raise, they are not skipped."""
    files = label_files(folders)
    labels = []
    for done, (path, suspect) in enumerate(files):
        labels.append(read_label(path, suspect))
        progress("reading labels", done + 1, len(files))
    return labels
