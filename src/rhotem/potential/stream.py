"""Slices of the potential straight into a file, for cells whose density or potential does not fit into memory.

    V = V_free + V_short + V_smooth

Free atoms as everywhere. Sharp one-centre densities give a short-ranged part in closed form and compensating charges
(`rhotem.potential.stream_sharp`); those and the smooth density meet Poisson's equation on the density's grid, whose
Fourier transform goes through scratch files: planes first, then along the beam, a few rows at a time. The long-range
part is therefore exact; no boundary condition and no cut-off enters.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid, Progress, is_rectangular, silent
from rhotem.core.folders import scratch
from rhotem.core.tasks import pieces
from rhotem.density.stream import StreamedDensity
from rhotem.potential.files.own import FORMAT, VERSION
from rhotem.potential.parametrizations import FormFactor, mean_inner_potential
from rhotem.potential.slices import Precision
from rhotem.potential.stream_job import StreamJob
from rhotem.potential.stream_sharp import AT_ONCE

#: Bytes for a block of planes or rows where nothing else is asked for.
BLOCK = 2.56e8
#: Pixels of a chunk and axis: windows of a slice are read without all of it.
CHUNK = 1024
#: Bytes of an atom's Gaussians, short and wide.
SHARP = 8.0 * 31 * 35
#: A smooth density is refused on a coarser grid than this (Å): its compensating charges would be too wide.
COARSEST = 0.5


#: Writes the slices of atoms at rest (None) or displaced by (N, 3) Å to a path, and returns it.
Writer = Callable[[Path, npt.NDArray[np.float64] | None], Path]


def stream_potential(
    density: StreamedDensity,
    grid: PeriodicGrid,
    path: str | Path,
    *,
    parametrization: str | FormFactor = "pbe",
    memory_limit: float | None = None,
    precision: Precision = "single",
    scheduler: str | None = None,
    progress: Progress = silent,
) -> Path:
    """Potential V = V_free + V[Δn] of an orthogonal cell at rest, slice by slice into RhoTEM's potential file.

    Parameters
    ----------
    density : StreamedDensity
        Of the imaging cell itself: orthogonal, the beam along the third axis.
    grid : PeriodicGrid
        The same cell, shape (n_x, n_y, number of slices); across at least as fine as the density's.
    path : path
        The .zarr to write; it appears under its name only when complete. Scratch files of about the size of the
        density lie beside it meanwhile.
    parametrization : "pbe", "lobato", "kirkland" or a form factor
    memory_limit : float or None
        Bytes this call, or every worker, may use.
    precision : "single" or "double"
    scheduler : str or None
        Address of a Dask scheduler whose workers see the folder of ``path`` and have RhoTEM installed; None: here. The
        result is the same.
    progress : Progress

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the cell is not orthogonal, the grids do not belong together, or the cluster cannot be used.
    MemoryLimitError
        If not even a few planes fit.
    """
    target = Path(path)
    with potential_stream(
        density,
        grid,
        target,
        parametrization=parametrization,
        memory_limit=memory_limit,
        precision=precision,
        scheduler=scheduler,
        progress=progress,
    ) as write:
        return write(target, None)


@contextmanager
def potential_stream(
    density: StreamedDensity,
    grid: PeriodicGrid,
    beside: Path,
    *,
    parametrization: str | FormFactor = "pbe",
    deformation_msd: float = 0.0,
    oversampling: int = 1,
    whole_atoms: bool = False,
    memory_limit: float | None = None,
    precision: Precision = "single",
    scheduler: str | None = None,
    progress: Progress = silent,
) -> Iterator[Writer]:
    """A writer of potentials of one density, for frozen phonons: what the displacements do not change is made once.

    Parameters
    ----------
    density, grid, parametrization, memory_limit, precision, scheduler, progress
        As `stream_potential`.
    beside : Path
        Scratch files lie beside it until the block ends.
    deformation_msd : float
        ⟨u²⟩ in Å² along one axis: the deformation density is smeared by exp(−2π²g²⟨u²⟩), the free atoms are displaced
        exactly, as `rhotem.potential.slices.build_potential` does with deformation_phonons="averaged".
    oversampling : int
        How many times finer ``grid`` is, across the beam, than that of the waves.
    whole_atoms : bool
        As `rhotem.potential.slices.build_potential`.

    Yields
    ------
    Writer
    """
    _check(density, grid)
    if oversampling < 1 or any(n % oversampling for n in grid.shape[:2]):
        raise InputError(f"oversampling {oversampling}: expected a divisor of the pixels {grid.shape[:2]}")
    room = _room(density, grid, memory_limit)
    dtype = np.dtype(np.complex64 if precision == "single" else np.complex128)
    v0 = mean_inner_potential(parametrization, density.structure.numbers, grid.volume)
    record = {
        "free_atoms": parametrization if isinstance(parametrization, str) else "given function",
        "mean_inner_potential_V": v0,
        "zero_of_potential": "mean inner potential of neutral free atoms; deformation contributes 0 at g = 0",
        "source": density.source,
        "reference": density.reference,
        **{name: density.record[name] for name in ("novelty", "warnings") if name in density.record},
        "displaced": False,
        "oversampling": oversampling,
        "whole_atoms": whole_atoms,
        "streamed": True,
    }
    with scratch(beside) as folder:
        job = StreamJob(density, grid, parametrization, dtype, folder, room, deformation_msd, whole_atoms=whole_atoms)
        with pieces(job, folder, scheduler, progress) as run:
            split = run("split", len(job.atoms), "sharp parts")
            np.save(folder / "level.npy", sum(integral for integral, _ in split) / grid.volume)
            record["short_range_fit_V"] = max((error for _, error in split), default=0.0)
            run("transform", len(job.planes), "density by planes")
            run("poisson", len(job.rows), "Poisson")

        def write(path: Path, displacements: npt.NDArray[np.float64] | None = None) -> Path:
            last = job.at(displacements)
            _open(folder / "result", grid, np.float32 if precision == "single" else np.float64)
            with pieces(last, folder, scheduler, progress) as run:
                run("assemble", len(last.slices), "potential")
            moved = {} if displacements is None else {"displaced": True, "deformation_phonons": "averaged"}
            smeared = {"deformation_msd_A2": deformation_msd} if deformation_msd else {}
            _finish(folder / "result", path, grid, v0, {**record, **moved, **smeared})
            return path

        yield write


def _check(density: StreamedDensity, grid: PeriodicGrid) -> None:
    cell = density.grid.cell
    if not is_rectangular(cell) or (np.diag(cell) <= 0).any():
        raise InputError(f"streamed density: cell {cell.tolist()} is not diagonal; orient the crystal first")
    if not np.allclose(grid.cell, cell, rtol=0, atol=1e-6):
        raise InputError("potential grid: not the density's cell; make it with PeriodicGrid(density.grid.cell, ...)")
    if any(n < m for n, m in zip(grid.shape[:2], density.grid.shape[:2], strict=True)):
        raise InputError(
            f"potential grid {grid.shape[:2]} is coarser than the density's {density.grid.shape[:2]}; use more pixels"
        )
    if float(density.grid.spacing.max()) > COARSEST:
        raise InputError(f"streamed density: grid step {density.grid.spacing.max():.2f} Å, expected <= {COARSEST} Å")


def _room(density: StreamedDensity, grid: PeriodicGrid, memory_limit: float | None) -> float:
    """Bytes for a block of planes or rows."""
    if memory_limit is None:
        return BLOCK
    n_x, n_y, _ = density.grid.shape
    # polynomials of one piece, or of the atoms that reach a plane
    depth = min(1.0, (12.0 + grid.cell[2, 2] / grid.shape[2]) / grid.cell[2, 2])
    held = max(depth * len(density.one_centre), min(AT_ONCE, len(density.one_centre)))
    needed = SHARP * held + 64.0 * grid.shape[0] * grid.shape[1] + 64.0 * n_x * n_y
    if needed > memory_limit:
        raise MemoryLimitError(
            f"streaming a potential of {grid.shape[0]} x {grid.shape[1]} pixels and {len(density.structure)} atoms "
            f"takes at least {needed / 1e9:.2f} GB, {memory_limit / 1e9:.2f} GB allowed; use a smaller or coarser cell"
        )
    return float(min(BLOCK, memory_limit - needed + 32.0 * n_x * n_y))


def _open(path: Path, grid: PeriodicGrid, dtype: npt.DTypeLike) -> None:
    """An empty array of slices."""
    import zarr

    zarr.open_group(str(path), mode="w")
    n_x, n_y, slices = grid.shape
    chunks = (1, min(n_x, CHUNK), min(n_y, CHUNK))
    zarr.open_array(str(path / "potential"), mode="w", shape=(slices, n_x, n_y), chunks=chunks, dtype=dtype)


def _finish(path: Path, target: Path, grid: PeriodicGrid, v0: float, record: dict) -> None:
    """The attributes of `rhotem.potential.files.own.write_potential`, then the file's name."""
    import zarr

    n_x, n_y, slices = grid.shape
    array = zarr.open_array(str(path / "potential"), mode="r+")
    array.attrs.update(
        units="V Å",
        axes=["z", "x", "y"],
        thickness_A=float(grid.cell[2, 2] / slices),
        sampling_A=[float(grid.cell[0, 0] / n_x), float(grid.cell[1, 1] / n_y)],
    )
    zarr.open_group(str(path), mode="r+").attrs.update(
        format=FORMAT,
        version=VERSION,
        cell_A=grid.cell.tolist(),
        mean_inner_potential_V=v0,
        record=json.dumps(record),
    )
    if target.is_dir():
        shutil.rmtree(target)
    path.rename(target)
