"""The specimen: a crystal turned to a zone axis, cut to a thickness, on the grid that the detectors need."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from rhotem.core import InputError, PeriodicGrid, is_rectangular
from rhotem.core.keywords import check_keywords
from rhotem.microscope.fineness import THICKEST, Scatterers, coarse_error, past_rings
from rhotem.microscope.optics import OPEN, cutoff_angle, needed_sampling
from rhotem.microscope.presets import DEFAULT_PRESET, Preset, get_preset
from rhotem.microscope.settings import farthest_angle
from rhotem.microscope.slicing import off_planes, sliced
from rhotem.potential.planes import planes_of
from rhotem.structure.beam_symmetry import beam_period
from rhotem.structure.indices import IDENTITY, standard_cell
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell, orient
from rhotem.structure.supercell import imaging_grid, lateral_repeats, repeated_grid, thickness_repeats
from rhotem.structure.vacuum import VACUUM, widest_gap

#: Least width in Å of the block whose atoms move independently; the probe itself lives on a larger supercell.
BLOCK_WIDTH = 4.5
#: The same for a parallel beam, where a wider block costs little: its cells average the motion, spots stand out more.
PARALLEL_BLOCK_WIDTH = 11.5
#: Distance in Å of atoms from the middle of slices that is told, and the error per Å, of range, of HAADF of Si [111]
#: (docs/microscope.md).
TOLD, ERROR = 0.05, 0.33
#: Height in Å of the first atoms of a slab that the beam meets after vacuum: beyond their thermal motion.
ENTRANCE = 1.0
#: Least thickness in Å of what stands in vacuum: a flat sheet (graphene, hBN) is as thick as its atoms.
FLAT = 2.0
#: First space-group numbers of the trigonal and of the cubic crystal systems (International Tables A).
FIRST_TRIGONAL, FIRST_CUBIC = 143, 195


@dataclass(frozen=True, eq=False)
class Specimen:
    """A crystal cut for the microscope.

    Parameters
    ----------
    cell : ImagingCell
        The smallest orthogonal cell along the zone axis; one picture shows one of it.
    repeats : (nx, ny, nz)
        Cells in the block whose atoms vibrate independently: a few across the beam, the whole thickness along it.
    block : ImagingCell
        ``cell`` repeated; exists so that it is made once.
    grid : PeriodicGrid
        Pixels and slices of ``block``.
    preset : Preset
        Microscope and detectors that the grid was made for.
    vacuum : float
        Part of the block along the beam that is empty, in Å: a slab that the beam meets head on.
    oversampling : int
        How many times finer than ``grid`` the potential is sampled across the beam.
    reach : float
        Angle in mrad that the waves of this crystal must carry for images right within about one per cent.
    notes : tuple of str
        Remarks for the user.
    """

    cell: ImagingCell
    repeats: tuple[int, int, int]
    block: ImagingCell
    grid: PeriodicGrid
    preset: Preset
    vacuum: float = 0.0
    oversampling: int = 1
    reach: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def thickness(self) -> float:
        """Real thickness in nm, without vacuum."""
        return float(self.block.lengths[2] - self.vacuum) / 10.0

    @property
    def planes(self) -> int:
        """Slices with atoms; waves skip the others."""
        return self.repeats[2] * len(np.unique(self._places))

    @property
    def planes_of_elements(self) -> dict[int, int]:
        """Slices with atoms of each atomic number."""
        numbers, places = self.cell.structure.numbers, self._places
        return {int(z): self.repeats[2] * len(np.unique(places[numbers == z])) for z in np.unique(numbers)}

    @property
    def _places(self) -> npt.NDArray[np.int64]:
        """Slice of every atom of the imaging cell."""
        heights = self.cell.structure.positions[:, 2]
        return planes_of(heights, float(self.cell.lengths[2]), self.grid.shape[2] // self.repeats[2])

    @property
    def carried(self) -> float:
        """Angle in mrad that the waves' grid carries."""
        return cutoff_angle(self.preset.microscope.wavelength, (self.grid.spacing[0], self.grid.spacing[1]))

    def record(self) -> dict[str, Any]:
        """What a result should remember of it, JSON-ready."""
        return {
            "structure": dict(self.cell.origin.info),
            "formula": self.crystal.formula,
            "imaging_cell": self.cell.record(),
            "repeats": list(self.repeats),
            "thickness_nm": self.thickness,
            "vacuum_along_beam_angstrom": self.vacuum,
            "notes": list(self.notes),
            "grid": list(self.grid.shape),
            "pixel_angstrom": self.grid.spacing[:2].tolist(),
            "slice_angstrom": float(self.grid.spacing[2]),
            "planes_of_atoms": self.planes,
            "potential_oversampling": self.oversampling,
            "carried_mrad": self.carried,
            "needed_mrad": self.reach,
            "preset": self.preset.model_dump(),
        }

    def __str__(self) -> str:
        labels = self.cell.labels
        lx, ly = self.cell.lengths[:2]
        nx, ny, slices = self.grid.shape
        strain = f", strained by {100 * self.cell.max_strain:.2f} %" if self.cell.max_strain > 1e-6 else ""
        facing = labels.get("plane", labels["zone"])
        formula = self.crystal.formula
        axes = f"{labels['x']} right, {labels['up']} up"
        blocks = " x ".join(map(str, self.repeats))
        return (
            f"{formula} seen along {facing}: cell {lx:.2f} x {ly:.2f} Å ({axes}){strain}, "
            f"{self.thickness:.2f} nm thick\n{len(self.block.structure)} atoms in a block of {blocks} cells, grid "
            f"{nx} x {ny} (to {self.carried:.0f} mrad), {slices} slices of {self.grid.spacing[2]:.2f} Å"
            f"{'' if self.planes == slices else f', {self.planes} of them with atoms'}"
        )

    @property
    def crystal(self) -> Structure:
        """The crystal in its own cell, rotated and strained as it is imaged."""
        return self.cell.crystal


def shortened(cut: Specimen, preset: Preset, thickness: float | None, *, keep_cell: bool = False) -> Specimen:
    """The same specimen with another thickness (nm) and preset, on the grid that it has; arguments as `specimen`."""
    number, notes = repeats_along(cut.cell, preset, thickness, cut.vacuum, keep_cell)
    nx, ny, nz = cut.repeats
    if number == nz:
        return replace(cut, preset=preset)
    notes += cut.notes[keep_cell:]  # the first of a cell that is kept says how often it is repeated
    shape = (cut.grid.shape[0] // nx, cut.grid.shape[1] // ny, cut.grid.shape[2] // nz)
    grid = repeated_grid(PeriodicGrid(cut.cell.structure.cell, shape), nx, ny, number)
    block = cut.cell.repeated(nx, ny, number)
    return replace(cut, repeats=(nx, ny, number), block=block, grid=grid, preset=preset, notes=notes)


def structure(source: str | Path | Any, charge: float = 0.0, **options: Any) -> Structure:
    """A crystal from a file, an `ase.Atoms`, or the name of a ready phase ("LiCoO2").

    ``options`` (``ordering``, ``vacuum``, ``allow_overlaps``) are those of `rhotem.structure.read.read_structure`.
    """
    from rhotem.structure.phases import phase
    from rhotem.structure.read import read_structure

    if isinstance(source, str) and not Path(source).exists():
        try:
            ready = replace(phase(source), charge=charge)
        except InputError:
            if not Path(source).suffix:
                raise
        else:
            return read_structure(ready, **options)
    return read_structure(source, charge=charge, **options)


class Cutting(TypedDict, total=False):
    """How a crystal is cut.

    ``basis``, ``plane``: as `rhotem.structure.orient.orient`. ``thickness``: in nm, to whole cells nearest to it; None:
    the preset's, or the cell once if it is kept or ends in vacuum. ``preset``: microscope and detectors. ``sampling``:
    largest pixel in Å; None: the coarsest that carries the outermost detector angle and what the crystal needs whatever
    is detected (`rhotem.microscope.fineness`); a note says what a coarser one costs. ``slice_thickness``: thickest
    slice in Å; None: what the crystal needs, and thinner where atoms would lie on boundaries. ``primitive``: reduce to
    the primitive cell first; False where the density is tied to the crystal's own cell (a file). ``keep_cell``: take
    the given cell as it is, with the defects that it holds: never reduced, and repeated along the beam only if a
    thickness is given; seen along its third vector a rectangular one keeps its second vector upwards. ``at_rest``:
    whether potentials are made of atoms at rest, which need a finer grid; True serves both. ``block``: least width in Å
    of the block whose atoms move independently; None: `BLOCK_WIDTH`, of a parallel beam `PARALLEL_BLOCK_WIDTH`.
    """

    basis: str
    plane: bool
    thickness: float | None
    preset: str | Preset
    sampling: float | None
    slice_thickness: float | None
    primitive: bool
    keep_cell: bool
    at_rest: bool
    block: float | None


def specimen(crystal: Structure, zone: Sequence[int] = (0, 0, 1), **cutting: Unpack[Cutting]) -> Specimen:
    """Cut a crystal along a zone axis to a thickness, on a grid fine enough for the detectors and for the crystal.

    Parameters
    ----------
    crystal : Structure
    zone : sequence of int
        As `rhotem.structure.orient.orient`.
    **cutting
        `Cutting`.

    Raises
    ------
    InputError
        If a number is out of range, the grid is too coarse for the detectors, or a thickness is asked of a slab that
        ends in vacuum.
    """
    check_keywords(cutting, Cutting, "specimen")
    preset, basis = cutting.get("preset", DEFAULT_PRESET), cutting.get("basis", "conventional")
    plane = cutting.get("plane", False)
    keep_cell, primitive = cutting.get("keep_cell", False), cutting.get("primitive", True)
    sampling, slice_thickness = cutting.get("sampling"), cutting.get("slice_thickness")
    chosen = get_preset(preset) if isinstance(preset, str) else preset
    up = (0, 1, 0) if keep_cell and not plane and _is_own_axis(crystal, zone, basis) else None
    cell = oriented(crystal, zone, basis, plane=plane, primitive=primitive and not keep_cell, up=up)
    cell, vacuum = _entrance_first(cell)
    nz, notes = repeats_along(cell, chosen, cutting.get("thickness"), vacuum, keep_cell)
    nx, ny = lateral_repeats(cell, _block_width(chosen, cutting.get("block")))
    depth = nz * float(cell.lengths[2]) - vacuum
    atoms = Scatterers.of(cell.structure.numbers, cell.structure.positions, cell.lengths, vacuum)
    at_rest = cutting.get("at_rest", True)
    parallel = chosen.mode != "stem"
    needed = atoms.reach(chosen.microscope, depth, reach(chosen), at_rest, parallel)
    if at_rest and depth > 1.5 * (period := beam_period(cell.structure)):
        needed = past_rings(needed, chosen.microscope, period)
    finest = needed_sampling(chosen.microscope.wavelength, needed)
    cell, slices = sliced(cell, THICKEST if slice_thickness is None else slice_thickness, THICKEST, slab=vacuum > 0)
    coarse = _coarse(chosen, sampling, needed) + _beside(cell, slices)
    grid = imaging_grid(cell, finest if sampling is None else sampling, slices)
    finer = atoms.oversampling(float(max(grid.spacing[:2])), chosen.microscope, parallel)
    block, fine = cell.repeated(nx, ny, nz), repeated_grid(grid, nx, ny, nz)
    return Specimen(cell, (nx, ny, nz), block, fine, chosen, vacuum, finer, needed, notes + coarse)


def _block_width(preset: Preset, asked: float | None) -> float:
    """Least width in Å of the block whose atoms move independently."""
    if asked is None:
        return BLOCK_WIDTH if preset.mode == "stem" else PARALLEL_BLOCK_WIDTH
    if not (np.isfinite(asked) and asked > 0):
        raise InputError(f"block {asked} Å: expected a positive length")
    return asked


def _coarse(preset: Preset, sampling: float | None, needed: float) -> tuple[str, ...]:
    """Refuse a pixel that the detectors see nothing with, and say what another one costs."""
    wavelength = preset.microscope.wavelength
    if sampling is None or sampling <= needed_sampling(wavelength, needed) * (1 + 1e-9):
        return ()
    finest = needed_sampling(wavelength, reach(preset))
    if sampling > finest:
        raise InputError(f"sampling {sampling} Å is too coarse: {reach(preset):g} mrad need {finest:.4f} Å or less")
    carried = cutoff_angle(wavelength, (sampling, sampling))
    error = coarse_error(carried, needed)
    return (
        f"sampling {sampling:g} Å carries {carried:.0f} mrad, this crystal needs {needed:.0f} mrad, "
        f"{needed_sampling(wavelength, needed):.4f} Å: expect errors of about {100 * error:.0f} % of an image's range",
    )


def _beside(cell: ImagingCell, slices: int) -> tuple[str, ...]:
    """What atoms beside the middle of their slices cost, where slices do not fit their planes."""
    step = float(cell.lengths[2]) / slices
    off = off_planes(cell, slices)
    if off <= TOLD:
        return ()
    return (
        f"atoms lie {off:.2f} Å (rms) beside the middle of their slices of {step:.2f} Å: expect errors of up to "
        f"{100 * ERROR * off:.0f} % of a HAADF's range; thinner slices (--slice-thickness) bring them nearer",
    )


def _entrance_first(cell: ImagingCell) -> tuple[ImagingCell, float]:
    """A cell with vacuum along the beam, moved so that the beam meets the slab first; and that vacuum in Å, 0 for bulk.

    A slab across the end of the cell would be met in two halves.
    """
    start, width, length = widest_gap(cell.structure, 2)
    if width < VACUUM:
        return cell, 0.0
    atoms = cell.structure.atoms.copy()
    atoms.positions[:, 2] = np.mod(atoms.positions[:, 2] - start - width + 1e-6, length) + ENTRANCE
    return replace(cell, structure=replace(cell.structure, atoms=atoms)), min(width, length - FLAT)


def repeats_along(
    cell: ImagingCell, preset: Preset, thickness: float | None, vacuum: float, keep_cell: bool
) -> tuple[int, tuple[str, ...]]:
    """Cells along the beam, and what to say about them."""
    length = float(cell.lengths[2])
    if vacuum:
        slab = f"{vacuum:.1f} Å of vacuum along the beam: one slab, {(length - vacuum) / 10:.2f} nm thick"
        if thickness is not None:
            raise InputError(f"thickness {thickness:g} nm: the cell has {slab}; leave it out, or build a thicker slab")
        return 1, (slab,)
    if keep_cell and thickness is None:
        return 1, (f"the given cell once along the beam, {length / 10:.2f} nm; --thickness repeats it",)
    number, _ = thickness_repeats(cell, preset.thickness if thickness is None else thickness)
    if keep_cell and number > 1:
        return number, (f"the given cell {number} times along the beam, and so its defects",)
    return number, ()


def _is_own_axis(crystal: Structure, zone: Sequence[int], basis: str) -> bool:
    """Whether a zone axis is the third vector of a rectangular cell, in that cell's own indices."""
    along = len(zone) == 3 and zone[0] == zone[1] == 0
    return bool(
        along and is_rectangular(crystal.cell) and (basis == "input" or standard_cell(crystal).rows == IDENTITY)
    )


def oriented(
    crystal: Structure,
    zone: Sequence[int],
    basis: str,
    *,
    plane: bool,
    primitive: bool,
    up: Sequence[int] | None = None,
) -> ImagingCell:
    """`orient` for what a command line gives: the basis is any text and checked."""
    if basis != "conventional" and basis != "input":
        raise InputError(
            f"zone basis {basis!r}: choose 'conventional' (standard cell) or 'input' (the file's own cell)"
        )
    named: Literal["input", "conventional"] = "input" if basis == "input" else "conventional"
    return orient(crystal, zone, named, plane=plane, up=up, primitive=primitive)


def direction(
    crystal: Structure, zone: Sequence[int] | None, plane: Sequence[int] | None = None
) -> tuple[tuple[int, ...], bool]:
    """The zone axis (or plane, then True) to look along; where none is given, the one that tells columns apart.

    That is [100] of hexagonal and trigonal crystals (it separates the Li, O and metal columns of R-3m oxides), [110] of
    cubic spinels and rocksalts alike, and [001] of anything else.
    """
    if zone is not None and plane is not None:
        raise InputError("both a zone axis and a plane were given; give one")
    if plane is not None:
        return tuple(plane), True
    if zone is not None:
        return tuple(zone), False
    number = standard_cell(crystal).number
    if number >= FIRST_CUBIC:
        return (1, 1, 0), False
    return ((1, 0, 0) if number >= FIRST_TRIGONAL else (0, 0, 1)), False


def reach(preset: Preset) -> float:
    """Outermost angle in mrad that a preset records: the largest detector's, or what lenses pass."""
    if preset.mode != "stem":
        return max(OPEN, preset.microscope.objective or 0.0)
    convergence = preset.microscope.convergence
    if not preset.detectors:
        return 2.0 * convergence
    return max(farthest_angle(preset.detectors, preset.microscope.camera_step), convergence)
