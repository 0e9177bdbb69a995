"""`build_potential`: the electrostatic potential of an oriented crystal, integrated over slices."""

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, MemoryLimitError, PeriodicGrid, Progress, is_rectangular, silent
from rhotem.density.field import DensityField
from rhotem.potential.deformation import deformation_coefficients, wave_slices
from rhotem.potential.free_atoms import free_atom_slices
from rhotem.potential.hirshfeld import moving_coefficients
from rhotem.potential.parametrizations import FormFactor, form_factor, mean_inner_potential
from rhotem.potential.plane_waves import HalfPlane
from rhotem.potential.planes import gather, planes_of
from rhotem.potential.sharp import in_closed_form, is_in_closed_form

if TYPE_CHECKING:
    from rhotem.structure.orient import ImagingCell

Precision = Literal["single", "double"]
#: Largest frequency along the beam in 1/Å that a smooth deformation density may have.
STEEPEST = 20.0


@dataclass(frozen=True, eq=False)
class PotentialSlices:
    """Electrostatic potential integrated over slices across the beam.

    Parameters
    ----------
    array : (S, n_x, n_y) array
        ∫ V dz over [z_s, z_s + Δz) in V·Å; slice 0 is the entrance surface; float32 unless asked otherwise.
    grid : PeriodicGrid
        Orthogonal imaging cell, shape (n_x, n_y, S).
    mean_inner_potential : float
        V_0 in V, that of the free atoms (docs/conventions.md); already contained in ``array``.
    record : dict
        How it was made.
    oversampling : int
        How many times finer, across the beam, the potential is sampled than the waves that are to pass through it.
    """

    array: npt.NDArray
    grid: PeriodicGrid
    mean_inner_potential: float
    record: dict = dataclass_field(default_factory=dict)
    oversampling: int = 1

    @property
    def thickness(self) -> float:
        """Thickness of a slice in Å."""
        return float(self.grid.cell[2, 2] / self.grid.shape[2])

    @property
    def extent(self) -> tuple[float, float]:
        """Lateral size in Å."""
        return float(self.grid.cell[0, 0]), float(self.grid.cell[1, 1])

    @property
    def sampling(self) -> tuple[float, float]:
        """Lateral step in Å."""
        return self.extent[0] / self.grid.shape[0], self.extent[1] / self.grid.shape[1]

    @property
    def wave_grid(self) -> tuple[int, int]:
        """Points of the grid for waves; ``exp(iσV)`` of the finer potential is cut off at its band limit."""
        return self.grid.shape[0] // self.oversampling, self.grid.shape[1] // self.oversampling

    @property
    def wave_sampling(self) -> tuple[float, float]:
        """Step of that grid in Å."""
        return self.sampling[0] * self.oversampling, self.sampling[1] * self.oversampling

    def projected(self) -> npt.NDArray[np.float64]:
        """Potential projected through the whole cell in V·Å, shape (n_x, n_y)."""
        return self.array.sum(0, dtype=np.float64)


def build_potential(
    cell: "ImagingCell",
    grid: PeriodicGrid,
    field: DensityField | None = None,
    *,
    parametrization: str | FormFactor = "pbe",
    displacements: npt.NDArray[np.float64] | None = None,
    deformation_phonons: Literal["averaged", "rigid", "hirshfeld"] = "averaged",
    deformation_msd: npt.NDArray[np.float64] | float | None = None,
    memory_limit: float | None = None,
    precision: Precision = "single",
    oversampling: int = 1,
    whole_atoms: bool = False,
    progress: Progress = silent,
) -> PotentialSlices:
    """Potential V = V_free + V[Δn] of an oriented crystal as slices, exact up to the grid's band limit.

    Parameters
    ----------
    cell : ImagingCell
        Orthogonal cell with the beam along +z.
    grid : PeriodicGrid
        That cell with shape (n_x, n_y, number of slices).
    field : DensityField or None
        Deformation density of ``cell.crystal`` (or of the crystal before rotation and strain); None: free atoms only.
    parametrization : "pbe", "lobato", "kirkland" or a form factor
        Table of the free atoms. A deformation density belongs to "pbe", the atoms it was taken against.
    displacements : (N, 3) array or None
        Cartesian displacements in Å of the imaging cell's atoms (frozen phonons, MD); the free atoms follow exactly.
    deformation_phonons : "averaged", "rigid" or "hirshfeld"
        What the deformation density does when atoms are displaced: it is smeared by exp(−2π²g²⟨u²⟩); stays; or is
        split by Hirshfeld weights and moved with the atoms (`rhotem.potential.hirshfeld`; slower).
    deformation_msd : float, array or None
        ⟨u²⟩ in Å² for "averaged"; an array over the imaging cell's atoms is averaged, every atom counting once; None
        takes the mean square of ``displacements``; of tensors (N, 3, 3) the mean over directions. One number smears all
        of Δn: bonding charge lies between atoms and belongs to none of them ("hirshfeld" divides it).
    memory_limit : float or None
        Bytes this call may use; None for no limit. Less makes it work on fewer slices at once.
    precision : "single" or "double"
        float32 (complex64 sums of double-precision phases) or float64.
    oversampling : int
        The potential is sampled so many times finer than ``grid`` across the beam, which stays the grid for waves: a
        slice then scatters exactly up to their band limit, also by way of larger angles (docs/microscope.md).
    whole_atoms : bool
        Free atoms lie whole in the slice of their site, as waves should meet them (`rhotem.potential.free_atoms`), and
        slices without atoms are empty (`rhotem.potential.planes`). False: slices are integrals of V between their
        boundaries.
    progress : Progress

    Raises
    ------
    InputError
        If the grid is not that of the cell, or the field not of the crystal.
    MemoryLimitError
        If the slices themselves do not fit into ``memory_limit``.
    """
    _check(cell, grid, displacements)
    if oversampling != 1:
        grid = PeriodicGrid(grid.cell, (grid.shape[0] * oversampling, grid.shape[1] * oversampling, grid.shape[2]))
    if field is not None and parametrization in ("lobato", "kirkland"):
        raise InputError(
            f"parametrization {parametrization!r} with a deformation density, which refers to PBE atoms; use 'pbe'"
        )
    dtype = np.dtype(np.complex64 if precision == "single" else np.complex128)
    real = np.float32 if precision == "single" else np.float64
    plane = HalfPlane(grid)
    positions = cell.structure.positions + (0.0 if displacements is None else displacements)
    block = _block(grid, dtype, memory_limit)
    planes = None
    if whole_atoms:
        along = None if displacements is None else displacements[:, 2]
        planes = planes_of(cell.structure.positions[:, 2], float(grid.cell[2, 2]), grid.shape[2], along)
    free = free_atom_slices(grid, cell.structure.numbers, positions, form_factor(parametrization), dtype, planes)
    damping = _damping(deformation_phonons, deformation_msd, displacements)
    waves, sharp = None, None
    if field is not None and deformation_phonons == "hirshfeld" and displacements is not None:
        waves = wave_slices(grid, *moving_coefficients(cell, field, grid, displacements, memory_limit))
    elif field is not None:
        reach = float(np.hypot(plane.g.max(), STEEPEST))
        if is_in_closed_form(field):
            field, sharp = in_closed_form(cell, field, grid.shape[2], damping)
        waves = wave_slices(grid, *deformation_coefficients(cell, field, reach, damping, grid))
    array = np.empty((grid.shape[2], *grid.shape[:2]), dtype=real)
    for start in range(0, grid.shape[2], block):
        wanted = range(start, min(start + block, grid.shape[2]))
        coefficients = free(wanted)
        if waves is not None:
            waves(wanted, coefficients)
        array[wanted.start : wanted.stop] = plane.to_real(coefficients)
        if sharp is not None:
            sharp.add(wanted, array[wanted.start : wanted.stop])
        progress("potential", wanted.stop, grid.shape[2])
    if field is not None and planes is not None:
        gather(array, planes, float(grid.spacing[2]))
    v0 = mean_inner_potential(parametrization, cell.structure.numbers, grid.volume)
    moved = None if displacements is None else deformation_phonons
    record = _record(parametrization, field, moved, damping, v0) | {
        "oversampling": oversampling,
        "whole_atoms": whole_atoms,
    }
    if sharp is not None:
        record["short_range_fit_V"] = sharp.error
    return PotentialSlices(array, grid, v0, record, oversampling)


def _check(cell: "ImagingCell", grid: PeriodicGrid, displacements: npt.NDArray | None) -> None:
    if not is_rectangular(grid.cell) or (np.diag(grid.cell) <= 0).any():
        raise InputError(f"potential grid: cell {grid.cell.tolist()} is not diagonal; orient the crystal first")
    if not np.allclose(grid.cell, cell.structure.cell, rtol=0, atol=1e-6):
        raise InputError("potential grid: not the imaging cell's; make it with PeriodicGrid(cell.structure.cell, ...)")
    if displacements is not None and np.shape(displacements) != (len(cell.structure), 3):
        raise InputError(
            f"displacements: shape {np.shape(displacements)}, expected ({len(cell.structure)}, 3): one vector per atom"
        )


def _damping(how: str, msd: npt.ArrayLike | None, displacements: npt.NDArray | None) -> float:
    if how not in ("averaged", "rigid", "hirshfeld"):
        raise InputError(f"deformation_phonons={how!r}: choose 'averaged', 'rigid' or 'hirshfeld'")
    if how != "averaged":
        return 0.0
    if msd is not None:
        given = np.asarray(msd, dtype=float)
        return float(np.mean(np.trace(given, axis1=1, axis2=2) / 3.0 if given.ndim == 3 else given))
    return 0.0 if displacements is None else float(np.mean(np.square(displacements)))


def _block(grid: PeriodicGrid, dtype: np.dtype, memory_limit: float | None) -> int:
    """Slices worked on at once; about 16 MB of coefficients where memory allows, more is slower."""
    per_slice = 3.0 * dtype.itemsize * grid.shape[0] * (grid.shape[1] // 2 + 1)
    result = dtype.itemsize / 2.0 * grid.size
    # Phase factors and radial tables take of the order of forty planes.
    needed = result + 40.0 * per_slice
    if memory_limit is None:
        room = 16e6
    elif needed > memory_limit:
        raise MemoryLimitError(
            f"potential of {grid.shape[2]} slices of {grid.shape[0]} x {grid.shape[1]} needs {needed / 1e9:.2f} GB, "
            f"{memory_limit / 1e9:.2f} GB allowed; use a smaller or coarser cell, or build fewer slices"
        )
    else:
        room = min(16e6, memory_limit - needed)
    return int(max(1, min(grid.shape[2], room // per_slice)))


def _record(
    parametrization: str | FormFactor,
    field: DensityField | None,
    moved: str | None,
    damping: float,
    v0: float,
) -> dict:
    record = {
        "free_atoms": parametrization if isinstance(parametrization, str) else "given function",
        "mean_inner_potential_V": v0,
        "zero_of_potential": "mean inner potential of neutral free atoms; deformation contributes 0 at g = 0",
        "source": "free atoms" if field is None else field.source,
        "displaced": moved is not None,
    }
    if field is not None:
        record |= {
            "reference": field.reference,
            **{name: field.record[name] for name in ("novelty", "warnings") if name in field.record},
            "deformation_grid": list(field.grid.shape),
            "deformation_phonons": moved or "at rest",
            "deformation_msd_A2": damping,
            "deformation_msd": "mean over the atoms of the imaging cell" if damping else "none",
            "net_charge": _charge(field),
        }
    return record


def _charge(field: DensityField) -> str:
    """What becomes of the crystal's charge, in words: an infinite crystal has no potential with one."""
    from rhotem.density.fourier import coefficients

    charge = field.structure.charge
    if abs(charge) < 1e-9:
        return "none"
    carried = -float(coefficients(field, [[0, 0, 0]])[0].real) * field.grid.volume
    if abs(carried) < 0.01 * abs(charge):
        return f"{charge:+g} e per crystal cell left out: the density is that of neutral atoms"
    return f"{charge:+g} e per crystal cell in the density, compensated by a uniform background"
