"""A density straight into a Zarr group, some planes at a time: for grids that do not fit into memory."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid, Progress, silent
from rhotem.core.folders import scratch
from rhotem.core.tasks import pieces
from rhotem.density import free_atoms
from rhotem.density.convert import VALENCE_RECORD, one_centre_values
from rhotem.density.field import DensityField
from rhotem.density.files.zarr_store import CHUNK, new_array, open_group, write_small
from rhotem.density.stream import StreamedDensity
from rhotem.density.superpose import add_atom_to_planes, free_reach

Kind = Literal["deformation", "valence", "total"]
#: Bytes for every point of the planes in work: values, what is added, and what is written.
PER_POINT = 32.0
#: Bytes that one atom's points take at a time.
ATOM = 1.5e8


@dataclass(frozen=True, eq=False)
class DensityJob:
    """Planes of a density, everything on the grid; pieces as `rhotem.core.tasks.pieces` takes them.

    Parameters
    ----------
    density : StreamedDensity
    electrons : None or dict
        Free atoms that are added: None for all electrons of them, or the valence electrons by atomic number; an empty
        one adds none.
    path : Path
        Zarr group with the array ``values``.
    depth : int
        Planes of a piece; chunks do not cross pieces.
    """

    density: StreamedDensity
    electrons: dict[int, float] | None
    path: Path
    depth: int

    @property
    def number(self) -> int:
        """Of pieces."""
        return -(-self.density.grid.shape[2] // self.depth)

    def write(self, piece: int) -> float:
        """Values of some planes; returns their sum."""
        import zarr

        density, grid = self.density, self.density.grid
        start = piece * self.depth
        wanted = range(start, min(start + self.depth, grid.shape[2]))
        values = np.ascontiguousarray(np.moveaxis(np.asarray(density.planes(wanted), dtype=float), 0, 2))
        atoms = density.structure
        reach = max((float(term.radii[-1]) for term in density.one_centre[:1]), default=0.0)
        every = len(density.one_centre) != len(atoms)  # parts that do not belong to the atoms one by one
        for index in range(len(density.one_centre)) if every else near_planes(grid, wanted, atoms.positions, reach):
            term = density.one_centre[index]
            points, own = one_centre_values(grid, atoms.positions[term.atom], term, counted=True)
            inside = (points[:, 2] >= wanted.start) & (points[:, 2] < wanted.stop)
            np.add.at(values, tuple((points[inside] - [0, 0, wanted.start]).T), own[inside])
        if self.electrons is None or self.electrons:
            average = self.electrons is None
            kinds, own_kind = np.unique(atoms.numbers, return_inverse=True)
            reaches = np.array([free_reach(int(z), self.electrons) for z in kinds])[own_kind]
            for atom in near_planes(grid, wanted, atoms.positions, reaches):
                add_atom_to_planes(values, wanted, atoms, grid, int(atom), self.electrons, average)
        array: Any = zarr.open_array(str(self.path / "values"), mode="r+")
        array[:, :, wanted.start : wanted.stop] = values
        return float(values.sum())


def near_planes(
    grid: PeriodicGrid, planes: range, positions: npt.NDArray[np.float64], reach: npt.ArrayLike
) -> npt.NDArray[np.int64]:
    """Which spheres about ``positions``, of one ``reach`` (Å) or each of its own, may touch planes of axis 3."""
    height = positions @ np.linalg.inv(grid.cell)[:, 2] * grid.shape[2]
    room = np.asarray(reach) * np.linalg.norm(grid.reciprocal[2]) * grid.shape[2] + 1.0
    middle, half = 0.5 * (planes.start + planes.stop - 1), 0.5 * len(planes)
    apart = height - middle
    apart -= np.rint(apart / grid.shape[2]) * grid.shape[2]
    return np.flatnonzero(np.abs(apart) <= half + room)


def write_streamed(
    density: StreamedDensity,
    path: str | Path,
    kind: Kind = "total",
    *,
    memory_limit: float | None = None,
    scheduler: str | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write a density to a Zarr group that `rhotem.density.files.read_density` reads; all parts on the grid.

    As `rhotem.density.convert.as_kind` of the whole in memory, but for the count of the wide part, which is that of
    its samples.

    Parameters
    ----------
    density : StreamedDensity
        Deformation density.
    path : path
        The .zarr; it appears under its name only when complete.
    kind : "deformation", "valence" or "total"
    memory_limit : float or None
        Bytes this call, or every worker, may use; None: 1 GB.
    scheduler : str or None
        Address of a Dask scheduler; None: here. The result is the same, bit by bit.
    progress : Progress

    Returns
    -------
    dict
        What was done: electrons on the grid among it.

    Raises
    ------
    InputError
        If the kind is another one or the cluster cannot be used.
    MemoryLimitError
        If not even one plane fits.
    """
    if kind not in ("deformation", "valence", "total"):
        raise InputError(f"density kind {kind!r}: expected 'deformation', 'valence' or 'total'")
    target, grid, structure = Path(path), density.grid, density.structure
    record = dict(density.record)
    electrons: dict[int, float] | None = {} if kind == "deformation" else None
    if kind == "valence":
        table = free_atoms.load()
        electrons = {int(z): float(table.default_valence(int(z))) for z in np.unique(structure.numbers)}
        record[VALENCE_RECORD] = {str(z): n for z, n in electrons.items()}
    if kind == "total":
        record["attenuation"] = "free atoms are voxel averages: F_h times sinc(h1/n1) sinc(h2/n2) sinc(h3/n3)"
    depth = _depth(grid.shape, 1e9 if memory_limit is None else memory_limit)
    with scratch(target) as folder:
        made = folder / "result"
        group = open_group(made)
        chunks = (min(CHUNK, grid.shape[0]), min(CHUNK, grid.shape[1]), min(CHUNK, depth))
        new_array(group, "values", grid.shape, chunks, "f8")
        job = DensityJob(density, electrons, made, depth)
        with pieces(job, folder, scheduler, progress) as run:
            sums = run("write", job.number, f"{kind} density by planes")
        record |= {"streamed": True, "electrons_on_grid": sum(sums) * grid.voxel_volume}
        empty = np.zeros((0, 0, 0))
        field = DensityField(kind, structure, grid, empty, (), None, density.reference, density.source, record)
        write_small(group, field)
        if target.is_dir():
            shutil.rmtree(target)
        made.rename(target)
    return record


def _depth(shape: tuple[int, int, int], memory: float) -> int:
    """Planes of a piece: whole chunks where they fit."""
    room = (memory - ATOM) / (PER_POINT * shape[0] * shape[1])
    if room < 1:
        least = (ATOM + PER_POINT * shape[0] * shape[1]) / 1e9
        raise MemoryLimitError(
            f"density by planes of {shape[0]} x {shape[1]} points takes at least {least:.2f} GB beside the program, "
            f"{memory / 1e9:.2f} GB allowed; allow more, or use a coarser grid"
        )
    return int(min(room // CHUNK * CHUNK if room >= CHUNK else room, 8 * CHUNK))
