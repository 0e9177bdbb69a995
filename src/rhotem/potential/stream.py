"""Slices of the potential straight into a file, for cells whose density or potential does not fit into memory.

    V = V_free + V_short + V_smooth

Free atoms as everywhere. Sharp one-centre densities give a short-ranged part in closed form and compensating charges
(`rhotem.potential.stream_sharp`); those and the smooth density meet Poisson's equation on the density's grid, whose
Fourier transform goes through scratch files: planes first, then along the beam, a few rows at a time. The long-range
part is therefore exact; no boundary condition and no cut-off enters.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid, Progress, silent
from rhotem.core.units import EPS0
from rhotem.density.stream import StreamedDensity
from rhotem.potential.files.own import FORMAT, VERSION
from rhotem.potential.free_atoms import free_atom_slices
from rhotem.potential.parametrizations import FormFactor, form_factor, mean_inner_potential
from rhotem.potential.plane_waves import HalfPlane
from rhotem.potential.slices import Precision
from rhotem.potential.stream_sharp import Gaussians, add_to_plane, split_one_centre

#: Bytes for a block of planes or rows where nothing else is asked for.
BLOCK = 2.56e8
#: Bytes of an atom's Gaussians.
SHARP = 8.0 * 29 * 35
#: A smooth density is refused on a coarser grid than this (Å): its compensating charges would be too wide.
COARSEST = 0.5


def stream_potential(
    density: StreamedDensity,
    grid: PeriodicGrid,
    path: str | Path,
    *,
    parametrization: str | FormFactor = "pbe",
    memory_limit: float | None = None,
    precision: Precision = "single",
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
        Bytes this call may use.
    precision : "single" or "double"
    progress : Progress

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If the cell is not orthogonal, or the grids do not belong together.
    MemoryLimitError
        If not even a few planes fit.
    """
    _check(density, grid)
    target = Path(path)
    atoms = density.structure
    room = _room(density, grid, memory_limit)
    complex_type = np.dtype(np.complex64 if precision == "single" else np.complex128)
    v0 = mean_inner_potential(parametrization, atoms.numbers, grid.volume)
    record = {
        "free_atoms": parametrization if isinstance(parametrization, str) else "given function",
        "mean_inner_potential_V": v0,
        "zero_of_potential": "mean inner potential of neutral free atoms; deformation contributes 0 at g = 0",
        "source": density.source,
        "reference": density.reference,
        "displaced": False,
        "streamed": True,
    }
    plane = HalfPlane(grid)
    free = free_atom_slices(grid, atoms.numbers, atoms.positions, form_factor(parametrization), complex_type)
    with _scratch(target) as folder:
        short, charges, record["short_range_fit_V"] = _sharp(density)
        smooth = _smooth_slices(density, charges, grid, folder, (room, complex_type, progress))
        level = sum(part.integral() for part in short) / grid.volume
        array = _open(folder / "result", grid, np.float32 if precision == "single" else np.float64)
        thickness = grid.cell[2, 2] / grid.shape[2]
        for s in range(grid.shape[2]):
            coefficients = free(range(s, s + 1))
            coefficients[0] += smooth(s)
            values = plane.to_real(coefficients)[0].astype(np.float64)
            for part in short:
                add_to_plane(values, part, np.diag(grid.cell), (s * thickness, (s + 1) * thickness))
            values -= level * thickness
            array[s] = values.astype(array.dtype)
            progress("potential", s + 1, grid.shape[2])
        _finish(folder / "result", target, grid, v0, record)
    return target


def _check(density: StreamedDensity, grid: PeriodicGrid) -> None:
    cell = density.grid.cell
    if not np.allclose(cell, np.diag(np.diag(cell)), rtol=0, atol=1e-6) or (np.diag(cell) <= 0).any():
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
    needed = SHARP * len(density.one_centre) + 64.0 * grid.shape[0] * grid.shape[1] + 64.0 * n_x * n_y
    if needed > memory_limit:
        raise MemoryLimitError(
            f"streaming a potential of {grid.shape[0]} x {grid.shape[1]} pixels and {len(density.structure)} atoms "
            f"takes at least {needed / 1e9:.2f} GB, {memory_limit / 1e9:.2f} GB allowed; use a smaller or coarser cell"
        )
    return float(min(BLOCK, memory_limit - needed + 32.0 * n_x * n_y))


def _sharp(density: StreamedDensity) -> tuple[list[Gaussians], list[Gaussians], float]:
    """Short-ranged potential and wide charges of the one-centre parts."""
    if not len(density.one_centre):
        return [], [], 0.0
    every = np.arange(len(density.one_centre))
    return split_one_centre(density.one_centre, density.structure.positions, every, float(density.grid.spacing.max()))


def _smooth_slices(  # type: ignore[no-untyped-def]
    density: StreamedDensity,
    charges: list[Gaussians],
    grid: PeriodicGrid,
    folder: Path,
    how: tuple[float, np.dtype, Progress],
):  # returns a function of the slice's index: coefficients in V·Å, layout of `HalfPlane`
    """Poisson's equation on the density's grid, out of core."""
    room, dtype, progress = how
    n_x, n_y, n_z = density.grid.shape
    columns = n_y // 2 + 1
    lateral = np.memmap(folder / "planes", dtype=dtype, mode="w+", shape=(n_z, n_x, columns))
    _transform_planes(density, charges, lateral, room, progress)
    slices = np.memmap(folder / "slices", dtype=dtype, mode="w+", shape=(grid.shape[2], n_x, columns))
    rows = int(np.clip(room // (6.0 * dtype.itemsize * columns * max(n_z, grid.shape[2])), 1, n_x))
    for start in range(0, n_x, rows):
        part = slice(start, min(start + rows, n_x))
        slices[:, part] = _along_beam(np.array(lateral[:, part]), density.grid, grid, part)
        progress("Poisson", part.stop, n_x)
    del lateral
    (folder / "planes").unlink()
    rows_to, columns_to = _embedding(n_x, grid.shape[0]), _embedding(n_y, grid.shape[1])
    plane = HalfPlane(grid)

    def smooth(s: int) -> npt.NDArray:
        source = np.asarray(slices[s])
        wide = np.zeros((plane.shape[0], columns), dtype=dtype)
        for h, share in rows_to:
            row = 0 if 2 * h == grid.shape[0] else h + plane.centre
            wide[row] += share * source[h % n_x]
        out = np.zeros(plane.shape, dtype=dtype)
        for h, share in columns_to:
            if h >= 0:
                # the other half of a shared line is the conjugate, which a real slice holds anyway
                twice = 2.0 if 2 * h == grid.shape[1] else 1.0
                out[:, h] += twice * share * wide[:, h]
        return out

    return smooth


def _transform_planes(
    density: StreamedDensity, charges: list[Gaussians], out: npt.NDArray, room: float, progress: Progress
) -> None:
    """Fourier coefficients of every plane of the smooth density with its compensating charges."""
    from scipy.fft import rfft2

    n_x, n_y, n_z = density.grid.shape
    lengths = np.diag(density.grid.cell)
    step = int(np.clip(room // (32.0 * n_x * n_y), 1, n_z))
    real = out.real.dtype
    for start in range(0, n_z, step):
        wanted = range(start, min(start + step, n_z))
        values = np.array(density.planes(wanted), dtype=float)
        for k, plane in zip(wanted, values, strict=True):
            z = k * lengths[2] / n_z
            for part in charges:
                add_to_plane(plane, part, lengths, (z, z))
            out[k] = rfft2(plane.astype(real), norm="forward")
        progress("density by planes", wanted.stop, n_z)


def _along_beam(block: npt.NDArray, dense: PeriodicGrid, grid: PeriodicGrid, rows: slice) -> npt.NDArray:
    """From planes of Δn (n_z, rows, columns) to slices of V: Fourier series along z, Poisson, integrals over slices."""
    from scipy.fft import fft, ifft

    _, n_y, n_z = dense.shape
    slices, thickness = grid.shape[2], grid.cell[2, 2] / grid.shape[2]
    block = fft(block, axis=0, norm="forward")
    g_x = np.fft.fftfreq(dense.shape[0]) * dense.shape[0] / dense.cell[0, 0]
    across = g_x[rows, None] ** 2 + (np.arange(n_y // 2 + 1) / dense.cell[1, 1]) ** 2
    table = np.zeros((slices, *block.shape[1:]), dtype=block.dtype)
    for h, share in _embedding(n_z, n_z + 1):
        g2 = across + (h / dense.cell[2, 2]) ** 2
        inverse = np.divide(1.0, 4.0 * np.pi**2 * EPS0 * g2, out=np.zeros_like(g2), where=g2 > 0)
        along = share * thickness * np.sinc(h / slices) * np.exp(1j * np.pi * h / slices)
        table[h % slices] -= (along * inverse).astype(block.dtype) * block[h % n_z]
    return ifft(table, axis=0, norm="forward")


def _embedding(n: int, wide: int) -> list[tuple[int, float]]:
    """Frequencies of a series of n points and their shares, half at ±n/2; half again on a Nyquist line of ``wide``."""
    shares = []
    for h in range(-(n // 2), n // 2 + 1):
        share = 0.5 if 2 * abs(h) == n else 1.0
        shares.append((h, 0.5 * share if 2 * abs(h) == wide else share))
    return shares


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """A folder beside the result that vanishes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".tmp", dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _open(path: Path, grid: PeriodicGrid, dtype: npt.DTypeLike):  # type: ignore[no-untyped-def]  # a zarr array
    import zarr

    zarr.open_group(str(path), mode="w")
    n_x, n_y, slices = grid.shape
    return zarr.open_array(
        str(path / "potential"), mode="w", shape=(slices, n_x, n_y), chunks=(1, n_x, n_y), dtype=dtype
    )


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
