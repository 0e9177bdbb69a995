"""A density in some kB: its difference to free atoms on a coarse grid, and error bars where its source knows them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import chemical_symbols

from rhotem.analysis.run import density_grid
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.uncertainty import EnsembleSource
from rhotem.battery.film.charge import projected_potential
from rhotem.core import InputError, MemoryLimitError, PeriodicGrid
from rhotem.density.field import DensityField
from rhotem.density.fourier import coefficients
from rhotem.density.stream import StreamedDensity
from rhotem.microscope.stored import Arrays, read_group, write_group
from rhotem.structure.indices import standard_cell
from rhotem.structure.model import Structure

#: What the group says it is, and the version of its layout.
FORM = ("rhotem-density-summary", 1)
#: Step in Å of the grid, and most points of it: of large cells it is coarser, so that a summary has 0.3 MB at most.
STEP, POINTS = 0.2, 65_536
#: Largest |g| in 1/Å of projected potentials, as their error bars were calibrated with, and their pixel in Å.
G_MAX, PIXEL = 2.0, 0.2
#: Least volume of a cell in Å³: a slice of a smaller one would hold millions of atoms.
LEAST_VOLUME = 1.0
#: Half-width of the 90 % interval of a Gaussian over its σ.
HALF_WIDTH = 1.6449

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Summary:
    """Difference of a density to free atoms, and how far it may be wrong.

    Parameters
    ----------
    cell : (3, 3) array
        Of the crystal, lattice vectors in rows, Å.
    named : (3, 3) array
        The cell that planes and directions are named by (`rhotem.structure.indices.standard_cell`), rows, Å.
    numbers, positions : (N,), (N, 3) arrays
        Its atoms; Å.
    difference : (n1, n2, n3) array
        Δn = n − Σ n_free in e/Å³ on a grid of the cell, folded with a Gaussian of σ = half a step.
    error : array of the same shape or None
        Half-width of its 90 % interval in e/Å³.
    potential : (nx, ny) array
        Potential of Δn in V, its mean along the beam, on the imaging cell (`rhotem.microscope`: x first).
    potential_error : array of that shape or None
        Half-width of its 90 % interval in V.
    extent : (float, float)
        Sides of the imaging cell in Å.
    source : str
    missing : str
        Why there are no error bars; "": there are.
    """

    cell: Floats
    named: Floats
    numbers: npt.NDArray[np.int64]
    positions: Floats
    difference: Floats
    error: Floats | None
    potential: Floats
    potential_error: Floats | None
    extent: tuple[float, float]
    source: str
    missing: str = ""

    @property
    def step(self) -> float:
        """Largest step of the grid in Å: what it resolves."""
        return _step(self.cell, self.difference.shape)

    def save(self, path: Path) -> None:
        """Write a Zarr group of half precision; it appears when it is complete."""
        arrays: Arrays = {"numbers": self.numbers.astype(np.int16), "positions": self.positions}
        arrays |= {"cell": self.cell, "named": self.named}
        for name in ("difference", "error", "potential", "potential_error"):
            values = getattr(self, name)
            if values is not None:
                arrays[name] = np.asarray(values, dtype=np.float16)
        said = {"extent": list(self.extent), "source": self.source, "missing": self.missing}
        write_group(path, FORM, arrays, said, whole=True)


def open_summary(path: Path) -> Summary:
    """The summary in a folder.

    Raises
    ------
    InputError
        If it is damaged, none, or of another version.
    """
    arrays, said = read_group(path, FORM, "density summary")
    try:
        needed = ("cell", "named", "positions", "difference", "potential")
        held: dict[str, Any] = {name: np.asarray(arrays[name], dtype=float) for name in needed}
        held |= {name: arrays[name].astype(float) if name in arrays else None for name in ("error", "potential_error")}
        numbers = arrays["numbers"].astype(np.int64)
        x, y = (float(side) for side in said["extent"])
        told: dict[str, Any] = {"source": str(said["source"]), "missing": str(said["missing"])}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: no density summary that can be read ({type(error).__name__})") from None
    read = Summary(numbers=numbers, extent=(x, y), **told, **held)
    if not _sound(read):
        raise InputError(f"{path}: holds what no crystal has (NaN, a flat cell, other shapes); make it again")
    return read


def _sound(read: Summary) -> bool:
    """Whether arrays fit each other and a crystal: checksums say only that they are what someone wrote."""
    count, flat, deep = len(read.numbers), read.potential.shape, read.difference.shape
    shapes = ((read.cell, (3, 3)), (read.named, (3, 3)), (read.positions, (count, 3)), (read.numbers, (count,)))
    bars = ((read.error, deep), (read.potential_error, flat))
    expected = (*shapes, *((values, shape) for values, shape in bars if values is not None))
    if not all(values.shape == shape and np.isfinite(values).all() for values, shape in expected):
        return False
    grids = len(deep) == 3 and len(flat) == 2 and read.difference.size > 0 and read.potential.size > 0
    finite = all(np.isfinite(v).all() for v in (read.difference, read.potential, np.array(read.extent)))
    cells = min(abs(np.linalg.det(cell)) for cell in (read.cell, read.named)) >= LEAST_VOLUME
    atoms = count > 0 and bool(((read.numbers > 0) & (read.numbers < len(chemical_symbols))).all())
    return bool(grids and finite and cells and atoms and min(read.extent) > 0)


def summarised(cut: Specimen, field: DensityField | StreamedDensity, source: object) -> Summary | None:
    """The summary of a density; None of free atoms, which have no difference to themselves, and by way of the disk.

    Parameters
    ----------
    cut : Specimen
    field : DensityField
        Deformation density of its crystal.
    source : DensitySource
        That made it; its members give the error bars (`rhotem.analysis.uncertainty.EnsembleSource`).
    """
    if isinstance(field, StreamedDensity) or not (any(field.values.strides) or field.one_centre):
        return None
    crystal, shape = field.structure, grid_of(field.structure).shape
    difference, potential = _smooth(field, shape), projected_potential(cut, field, G_MAX, PIXEL)
    bars, why = _bars(cut, source, shape)
    return Summary(
        np.array(crystal.cell),
        np.array(standard_cell(crystal).cell),
        np.asarray(crystal.numbers),
        np.asarray(crystal.positions),
        difference,
        None if bars is None else bars[0],
        potential,
        None if bars is None else bars[1],
        (float(cut.cell.lengths[0]), float(cut.cell.lengths[1])),
        field.source,
        why,
    )


def grid_of(crystal: Structure) -> PeriodicGrid:
    """The grid of a summary: steps of 0.2 Å, or such that it has 65,536 points at most."""
    step = max(STEP, float((crystal.volume / POINTS) ** (1 / 3)))
    grid = PeriodicGrid.from_spacing(crystal.cell, step)
    while grid.size > POINTS:  # its sides are rounded upwards
        step *= 1.05
        grid = PeriodicGrid.from_spacing(crystal.cell, step)
    return grid


def _bars(cut: Specimen, source: object, shape: tuple[int, int, int]) -> tuple[tuple[Floats, Floats] | None, str]:
    """Half-widths of 90 % of Δn and of its projected potential; None, and why."""
    if not isinstance(source, EnsembleSource):
        return None, "its source does not know how far it may be wrong"
    crystal = cut.cell.unrotated
    seen: list[tuple[Floats, Floats]] = []
    try:
        for member in source.members(crystal, density_grid(source, crystal)):
            seen.append((_smooth(member, shape), projected_potential(cut, member, G_MAX, PIXEL)))
    except (InputError, MemoryLimitError) as error:
        return None, " ".join(str(error).removesuffix("; leave out --uncertainty").split())
    density, potential = (HALF_WIDTH * np.std(each, axis=0, ddof=1) for each in zip(*seen, strict=True))
    return (density, potential), ""


def _smooth(field: DensityField, shape: tuple[int, int, int]) -> Floats:
    """A density with all its parts on a coarser grid of its cell, folded with a Gaussian: cut waves would ring."""
    held = [(n - 1) // 2 for n in shape]
    first, second = (np.arange(-n, n + 1) for n in held[:2])
    third = np.arange(held[2] + 1)
    h = np.stack(np.meshgrid(first, second, third, indexing="ij"), axis=-1)
    g2 = ((h @ np.linalg.inv(field.structure.cell).T) ** 2).sum(axis=-1)
    damping = np.exp(-2.0 * g2 * (np.pi * 0.5 * _step(field.structure.cell, shape)) ** 2)
    table = np.zeros((shape[0], shape[1], shape[2] // 2 + 1), dtype=complex)
    values = coefficients(field, h.reshape(-1, 3)).reshape(h.shape[:3])
    table[np.ix_(first % shape[0], second % shape[1], third)] = values * damping
    return np.fft.irfftn(table, s=shape, axes=(0, 1, 2), norm="forward")


def _step(cell: Floats, shape: tuple[int, ...]) -> float:
    return float((np.linalg.norm(cell, axis=1) / shape).max())
