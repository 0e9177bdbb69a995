"""Labels as training sees them: treated near nuclei, split by parent, voxels drawn once and sorted by atom."""

import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import ase
import numpy as np
import numpy.typing as npt
import torch

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.density.metrics import treat_near_nuclei
from rhotem.labels.splits import chemistries_of
from rhotem.learned.pairs import probe_pairs
from rhotem.structure.model import Structure
from rhotem.structure.moments import starting_moments
from rhotem.training.network.graph import Graph, build_graph
from rhotem.training.network.readouts.spherical import Pairs, Probes

#: Share of the voxels drawn evenly; the others in proportion to |Δn|.
EVEN = 0.35
#: A local moment in Bohr magnetons from which its sign is clear.
CLEAR = 0.5


@dataclass(frozen=True, eq=False)
class Label:
    """One DFT deformation density.

    Parameters
    ----------
    name : str
    structure : Structure
        With its charge; its moments where they are not all up.
    grid : PeriodicGrid
    deformation : array of the grid's shape
        Treated near nuclei, e/Å³.
    family, formula : str
        Prototype and reduced composition; together the parent.
    suspect : bool
        A spin state that is not to be trusted: neither trained nor tested on.
    chemistries : tuple of str
        Those of `rhotem.labels.splits` it belongs to.
    magnetization : array of the grid's shape, or None
        n↑ − n↓ in µB/Å³ as calculated, of spin-polarised cells.
    moment : float
        Total moment of the cell in Bohr magnetons.
    """

    name: str
    structure: Structure
    grid: PeriodicGrid
    deformation: npt.NDArray[np.float64]
    family: str
    formula: str
    suspect: bool
    chemistries: tuple[str, ...] = ()
    magnetization: npt.NDArray | None = None
    moment: float = 0.0

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
    chemistries = tuple(chemistries_of({**meta, "prototype": family}, atoms.get_chemical_symbols()))
    doubtful = bool(meta.get("suspect_spin", suspect))
    label = Label(path.stem, structure, grid, treated, family, formula, doubtful, chemistries)
    spin = fields.get("magnetization")
    if spin is None:
        return label
    if spin.shape != grid.shape or not np.isfinite(spin).all():
        raise InputError(f"label {path}: the magnetisation has NaN or another shape than the density; make it again")
    moment = float(meta.get("magmom", grid.integrate(spin.astype(float))))
    structure = replace(structure, moments=_turned(structure, fields.get("magmoms")))
    return replace(label, structure=structure, magnetization=spin, moment=moment)


def _turned(structure: Structure, local: npt.NDArray | None) -> npt.NDArray[np.float64] | None:
    """Starting moments with the signs that magnetic atoms ended with; None if all are up."""
    start = starting_moments(structure)
    if local is None or not (down := (local < -CLEAR) & (start > 0)).any():
        return None
    return np.where(down, -start, start)


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
    which atom. ``values``, ``cumulative`` on the flat grid: Δn in e/Å³ and the sum of |Δn| up to there, as a share.
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

    @property
    def scale(self) -> float:
        """Mean |Δn| in e/Å³."""
        return float(np.abs(self.values).mean())

    def draw(self, points: int, rng: np.random.Generator) -> Drawn:
        """Voxels drawn anew, a share of them evenly and the others in proportion to |Δn|."""
        even = round(EVEN * points)
        drawn = np.concatenate(
            [
                rng.integers(0, len(self.values), even),
                np.minimum(np.searchsorted(self.cumulative, rng.random(points - even)), len(self.values) - 1),
            ]
        )
        target = self.values[drawn]
        chance = even / points + (1.0 - even / points) * np.abs(target) / self.scale
        index = np.stack(np.unravel_index(drawn, self.grid.shape), -1) / np.array(self.grid.shape)
        return Drawn(
            points=(index @ self.grid.cell).astype(np.float32),
            target=torch.from_numpy(target),
            weight=torch.from_numpy((1.0 / chance).astype(np.float32)),
        )

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
    values = label.deformation.ravel().astype(np.float32)
    cumulative = np.abs(values).cumsum(dtype=np.float64)
    images, owner = images_near_cell(s.positions, s.cell, max(cutoffs[1:]))
    return Sample(
        name=label.name,
        parent=label.parent,
        graph=build_graph(s.numbers, s.positions, s.cell, cutoffs[0], s.charge).to("cpu"),
        grid=label.grid,
        images=images.astype(np.float32),
        owner=owner,
        values=values,
        cumulative=cumulative / cumulative[-1],
        reaches=(cutoffs[1], cutoffs[2]),
    )


def images_near_cell(
    positions: npt.NDArray[np.float64], cell: npt.NDArray[np.float64], reach: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Atoms and images that can be within ``reach`` (Å) of a point of the cell, (I, 3) in Å, and their atoms (I,)."""
    inverse = np.linalg.inv(cell)
    margin = reach * np.linalg.norm(inverse, axis=0)
    fractional = positions @ inverse
    low, high = np.floor(-margin - fractional.max(0)), np.ceil(1.0 + margin - fractional.min(0))
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    moved = fractional[:, None] + shifts
    keep = ((moved > -margin) & (moved < 1.0 + margin)).all(-1)
    return moved[keep] @ cell, np.nonzero(keep)[0]


def make_probes(points: npt.NDArray[np.float64], structure: Structure, near: float, far: float) -> Probes:
    """Pairs of points (P, 3) in Å with the atoms within both reaches."""
    point, atom, vectors = probe_pairs(points, structure.positions, structure.cell, max(near, far))
    return Probes(len(points), *(_within(point, atom, vectors, reach, len(structure)) for reach in (near, far)))


def _within(point: npt.NDArray, atom: npt.NDArray, vectors: npt.NDArray[np.float64], reach: float, atoms: int) -> Pairs:
    keep = (vectors**2).sum(1) < reach**2
    counts = np.bincount(atom[keep], minlength=atoms).tolist()
    return Pairs(torch.from_numpy(point[keep]), torch.from_numpy(vectors[keep].astype(np.float32)), counts)


def read_labels(folders: Iterable[str | Path], progress: Progress = silent) -> list[Label]:
    """All labels of folders; files that are being written or broken raise, they are not skipped."""
    files = label_files(folders)
    labels = []
    for done, (path, suspect) in enumerate(files):
        labels.append(read_label(path, suspect))
        progress("reading labels", done + 1, len(files))
    return labels
