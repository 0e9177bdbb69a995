"""The pieces of `rhotem.potential.stream.stream_potential`: every one reads and writes files of a scratch folder.

Sharp one-centre densities become Gaussians, some atoms at a time; planes of the smooth density are transformed; the
columns of Fourier coefficients along the beam meet Poisson's equation, a few rows at a time; slices are put together.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.core import PeriodicGrid
from rhotem.core.units import EPS0
from rhotem.density.stream import HeldPlanes, StreamedDensity
from rhotem.potential.free_atoms import free_atom_slices
from rhotem.potential.parametrizations import FormFactor, form_factor
from rhotem.potential.plane_waves import HalfPlane
from rhotem.potential.planes import planes_of
from rhotem.potential.stream_sharp import AT_ONCE, Gaussians, add_to_plane, split_one_centre

#: Slices put together at once: two neighbours share what free atoms send across their boundary.
SLICES = 4


@dataclass(frozen=True, eq=False)
class StreamJob:
    """One potential to be streamed.

    Parameters
    ----------
    density : StreamedDensity
    grid : PeriodicGrid
        Of the slices.
    parametrization : str or form factor
    dtype : complex dtype
    folder : Path
        Scratch; ``result/potential`` in it is the Zarr array of the slices.
    room : float
        Bytes for a block of planes or rows.
    msd : float
        ⟨u²⟩ in Å² along one axis that smears the deformation density.
    displacements : (N, 3) array or None
        Of the free atoms, Å.
    whole_atoms : bool
        Free atoms lie whole in the slice of their site.
    """

    density: StreamedDensity
    grid: PeriodicGrid
    parametrization: str | FormFactor
    dtype: np.dtype
    folder: Path
    room: float
    msd: float = 0.0
    displacements: npt.NDArray[np.float64] | None = None
    whole_atoms: bool = False

    def at(self, displacements: npt.NDArray[np.float64] | None) -> "StreamJob":
        """The last stage for displaced atoms; what it does not need of the density is left out."""
        bare = replace(self.density, planes=HeldPlanes(np.zeros((0, 0, 0))), one_centre=())
        return replace(self, density=bare, displacements=displacements)

    # -- how the work is divided --

    @cached_property
    def atoms(self) -> list[npt.NDArray[np.int64]]:
        """One-centre parts by piece; those of one height together where every atom has one."""
        number = len(self.density.one_centre)
        order = np.arange(number)
        if number == len(self.density.structure):
            order = np.argsort(self.density.structure.positions[:, 2], kind="stable")
        return [order[i : i + AT_ONCE] for i in range(0, number, AT_ONCE)]

    @cached_property
    def planes(self) -> list[range]:
        """Planes of the density by piece."""
        n_x, n_y, n_z = self.density.grid.shape
        return _blocks(n_z, self.room / (32.0 * n_x * n_y))

    @cached_property
    def rows(self) -> list[range]:
        """Rows of Fourier coefficients by piece."""
        n_x, n_y, n_z = self.density.grid.shape
        return _blocks(n_x, self.room / (6.0 * self.dtype.itemsize * (n_y // 2 + 1) * max(n_z, self.grid.shape[2])))

    @cached_property
    def slices(self) -> list[range]:
        """Slices of the potential by piece."""
        n_x, n_y, number = self.grid.shape
        return _blocks(number, min(SLICES, self.room / (4.0 * self.dtype.itemsize * n_x * (n_y // 2 + 1))))

    # -- stages, in this order --

    def split(self, piece: int) -> tuple[float, float]:
        """Gaussians of some one-centre parts; ∫ of their short potential in V·Å³, largest error of the fit in V."""
        density = self.density
        step = float(density.grid.spacing.max())
        parts = split_one_centre(density.one_centre, density.structure.positions, self.atoms[piece], step)
        # what is on the grid is smeared with it
        short = [gaussians.smeared(self.msd) for gaussians in parts[0]]
        for kind, own in (("short", short), ("wide", parts[1])):
            for number, gaussians in enumerate(own):
                name = f"{kind}-{piece}-{number}"
                _save(self.folder / f"{name}.polynomials.npy", gaussians.polynomials)
                _save(self.folder / f"{name}.positions.npy", gaussians.positions)
                _save(self.folder / f"{name}.sigma.npy", gaussians.sigma)
        return sum(gaussians.integral() for gaussians in parts[0]), parts[2]

    def transform(self, piece: int) -> None:
        """Fourier coefficients of planes of the smooth density with its compensating charges."""
        from scipy.fft import rfft2

        n_x, n_y, n_z = self.density.grid.shape
        lengths = np.diag(self.density.grid.cell)
        wanted = self.planes[piece]
        values = np.array(self.density.planes(wanted), dtype=float)
        charges = self._gaussians("wide")
        out = np.empty((len(wanted), n_x, n_y // 2 + 1), dtype=self.dtype)
        for k, plane, line in zip(wanted, values, out, strict=True):
            z = k * lengths[2] / n_z
            for part in charges:
                add_to_plane(plane, part, lengths, (z, z))
            line[:] = rfft2(plane.astype(out.real.dtype), norm="forward")
        _save(self.folder / f"planes-{piece}.npy", out)

    def poisson(self, piece: int) -> None:
        """Coefficients of the slices of V from rows of coefficients of all planes of Δn."""
        rows = slice(self.rows[piece].start, self.rows[piece].stop)
        files = (self.folder / f"planes-{i}.npy" for i in range(len(self.planes)))
        block = np.concatenate([np.load(file, mmap_mode="r")[:, rows] for file in files])
        _save(self.folder / f"rows-{piece}.npy", along_beam(block, self.density.grid, self.grid, rows, self.msd))

    def assemble(self, piece: int) -> None:
        """Slices of the whole potential, written to their chunks."""
        import zarr

        thickness = self.grid.cell[2, 2] / self.grid.shape[2]
        level = float(np.load(self.folder / "level.npy"))
        array: Any = zarr.open_array(str(self.folder / "result" / "potential"), mode="r+")
        wanted, short = self.slices[piece], self._gaussians("short")
        for s, coefficients in zip(wanted, self._free(wanted), strict=True):
            coefficients += self._smooth(s)
            values = self._plane.to_real(coefficients).astype(np.float64)
            for part in short:
                add_to_plane(values, part, np.diag(self.grid.cell), (s * thickness, (s + 1) * thickness))
            array[s] = (values - level * thickness).astype(array.dtype)

    @cached_property
    def _plane(self) -> HalfPlane:
        return HalfPlane(self.grid)

    @cached_property
    def _free(self) -> Callable[[range], npt.NDArray]:
        atoms = self.density.structure
        positions = atoms.positions + (0.0 if self.displacements is None else self.displacements)
        table = form_factor(self.parametrization)
        planes = None
        if self.whole_atoms:
            along = None if self.displacements is None else self.displacements[:, 2]
            planes = planes_of(atoms.positions[:, 2], float(self.grid.cell[2, 2]), self.grid.shape[2], along)
        return free_atom_slices(self.grid, atoms.numbers, positions, table, self.dtype, planes)

    def _gaussians(self, kind: str) -> list[Gaussians]:
        """Those of all atoms; polynomials stay in their files until they are needed."""
        parts = []
        for path in sorted(self.folder.glob(f"{kind}-*.polynomials.npy")):
            stem = path.name.removesuffix(".polynomials.npy")
            positions, sigma = (np.load(self.folder / f"{stem}.{name}.npy") for name in ("positions", "sigma"))
            parts.append(Gaussians(positions, sigma, np.load(path, mmap_mode="r")))
        return parts

    def _smooth(self, s: int) -> npt.NDArray:
        """The slice of the smooth part on the finer grid of the slices, layout of `HalfPlane`."""
        n_x, n_y, _ = self.density.grid.shape
        files = (self.folder / f"rows-{i}.npy" for i in range(len(self.rows)))
        source = np.concatenate([np.load(file, mmap_mode="r")[s] for file in files])
        plane = self._plane
        wide = np.zeros((plane.shape[0], n_y // 2 + 1), dtype=self.dtype)
        for h, share in embedding(n_x, self.grid.shape[0]):
            row = 0 if 2 * h == self.grid.shape[0] else h + plane.centre
            wide[row] += share * source[h % n_x]
        out = np.zeros(plane.shape, dtype=self.dtype)
        for h, share in embedding(n_y, self.grid.shape[1]):
            if h >= 0:
                # the other half of a shared line is the conjugate, which a real slice holds anyway
                twice = 2.0 if 2 * h == self.grid.shape[1] else 1.0
                out[:, h] += twice * share * wide[:, h]
        return out


def along_beam(
    block: npt.NDArray, dense: PeriodicGrid, grid: PeriodicGrid, rows: slice, msd: float = 0.0
) -> npt.NDArray:
    """From planes of Δn (n_z, rows, columns) to slices of V: Fourier series along z, Poisson, integrals over slices.

    ``msd``: ⟨u²⟩ in Å² that Δn is smeared by.
    """
    from scipy.fft import fft, ifft

    _, n_y, n_z = dense.shape
    slices, thickness = grid.shape[2], grid.cell[2, 2] / grid.shape[2]
    block = fft(block, axis=0, norm="forward")
    g_x = np.fft.fftfreq(dense.shape[0]) * dense.shape[0] / dense.cell[0, 0]
    across = g_x[rows, None] ** 2 + (np.arange(n_y // 2 + 1) / dense.cell[1, 1]) ** 2
    table = np.zeros((slices, *block.shape[1:]), dtype=block.dtype)
    for h, share in embedding(n_z, n_z + 1):
        g2 = across + (h / dense.cell[2, 2]) ** 2
        inverse = np.divide(1.0, 4.0 * np.pi**2 * EPS0 * g2, out=np.zeros_like(g2), where=g2 > 0)
        if msd:
            inverse *= np.exp(-2.0 * np.pi**2 * msd * g2)
        along = share * thickness * np.sinc(h / slices) * np.exp(1j * np.pi * h / slices)
        table[h % slices] -= (along * inverse).astype(block.dtype) * block[h % n_z]
    return np.asarray(ifft(table, axis=0, norm="forward"))


def embedding(n: int, wide: int) -> list[tuple[int, float]]:
    """Frequencies of a series of n points and their shares, half at ±n/2; half again on a Nyquist line of ``wide``."""
    shares = []
    for h in range(-(n // 2), n // 2 + 1):
        share = 0.5 if 2 * abs(h) == n else 1.0
        shares.append((h, 0.5 * share if 2 * abs(h) == wide else share))
    return shares


def _blocks(number: int, most: float) -> list[range]:
    step = int(np.clip(most, 1, number))
    return [range(start, min(start + step, number)) for start in range(0, number, step)]


def _save(path: Path, array: npt.NDArray) -> None:
    """Under its name only when complete; twice is as good as once."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with open(partial, "wb") as stream:
        np.save(stream, array)
    os.replace(partial, path)
