"""The workflow on one page: structure -> density -> potential -> images.

Five calls with the names of the command line do what `rhotem image` does::

    crystal = structure("LiCoO2.cif")
    cut     = specimen(crystal, zone=(1, 0, 0), thickness=10.0)
    rho     = density(cut, source="free-atoms")
    v       = potential(cut, rho, phonons=4)
    images  = image(cut, v)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.density.field import DensityField
from rhotem.density.source import get_source
from rhotem.microscope.images import ImageSet
from rhotem.microscope.optics import needed_sampling
from rhotem.microscope.presets import DEFAULT_PRESET, Preset, get_preset
from rhotem.microscope.settings import Microscope, largest_angle
from rhotem.microscope.slicing import centre_layers
from rhotem.potential.slices import PotentialSlices, build_potential
from rhotem.structure.indices import standard_cell
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell, orient
from rhotem.structure.supercell import imaging_grid, lateral_repeats, repeated_grid, thickness_repeats

#: Largest step in Å of the grid that smooth parts of a deformation density are sampled on.
DENSITY_SPACING = 0.12
#: Thickest slice in Å; thinner than the atomic layers of close-packed zone axes.
SLICE_THICKNESS = 2.0
#: Least width in Å of the block whose atoms move independently; the probe itself lives on a larger supercell.
BLOCK_WIDTH = 4.5
#: Largest scattering angle in mrad that matters in HRTEM images and electron diffraction patterns.
PARALLEL_REACH = 100.0
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
    """

    cell: ImagingCell
    repeats: tuple[int, int, int]
    block: ImagingCell
    grid: PeriodicGrid
    preset: Preset

    @property
    def thickness(self) -> float:
        """Real thickness in nm."""
        return float(self.block.lengths[2]) / 10.0

    def record(self) -> dict[str, Any]:
        """What a result should remember of it, JSON-ready."""
        return {
            "structure": dict(self.cell.origin.info),
            "formula": self.crystal.formula,
            "imaging_cell": self.cell.record(),
            "repeats": list(self.repeats),
            "thickness_nm": self.thickness,
            "grid": list(self.grid.shape),
            "pixel_angstrom": self.grid.spacing[:2].tolist(),
            "slice_angstrom": float(self.grid.spacing[2]),
            "preset": self.preset.model_dump(),
        }

    def __str__(self) -> str:
        labels = self.cell.labels
        lx, ly = self.cell.lengths[:2]
        nx, ny, slices = self.grid.shape
        strain = f", strained by {100 * self.cell.max_strain:.2f} %" if self.cell.max_strain > 1e-6 else ""
        facing = labels.get("plane", labels["zone"])
        formula = self.crystal.formula
        axes = f"{labels['x']} right, {labels['y']} up"
        blocks = " x ".join(map(str, self.repeats))
        return (
            f"{formula} seen along {facing}: cell {lx:.2f} x {ly:.2f} Å ({axes}){strain}, "
            f"{self.thickness:.2f} nm thick\n{len(self.block.structure)} atoms in a block of {blocks} cells, grid "
            f"{nx} x {ny}, {slices} slices of {self.grid.spacing[2]:.2f} Å"
        )

    @property
    def crystal(self) -> Structure:
        """The crystal in its own cell, rotated and strained as it is imaged."""
        return self.cell.crystal


def structure(source: str | Path | Any, charge: float = 0.0, **options: Any) -> Structure:
    """A crystal from a file, an `ase.Atoms`, or the name of a ready phase ("LiCoO2")."""
    from rhotem.structure.phases import phase
    from rhotem.structure.read import read_structure

    if isinstance(source, str) and not Path(source).exists() and not Path(source).suffix:
        return replace(phase(source), charge=charge)
    return read_structure(source, charge=charge, **options)


def specimen(
    crystal: Structure,
    zone: Sequence[int] = (0, 0, 1),
    *,
    basis: str = "conventional",
    plane: bool = False,
    thickness: float | None = None,
    preset: str | Preset = DEFAULT_PRESET,
    sampling: float | None = None,
    primitive: bool = True,
) -> Specimen:
    """Cut a crystal along a zone axis to a thickness, on the grid that the detectors need.

    Parameters
    ----------
    crystal : Structure
    zone, basis, plane
        As `rhotem.structure.orient.orient`.
    thickness : float, optional
        In nm; whole cells nearest to it. None: the preset's.
    preset : str or Preset
        Microscope and detectors.
    sampling : float, optional
        Largest pixel in Å. None: the coarsest that carries the outermost detector angle.
    primitive : bool
        Reduce to the primitive cell first. False where the density is tied to the crystal's own cell (a file).

    Raises
    ------
    InputError
        If a number is out of range or the grid is too coarse for the detectors.
    """
    chosen = get_preset(preset) if isinstance(preset, str) else preset
    cell = oriented(crystal, zone, basis, plane=plane, primitive=primitive)
    nz, _ = thickness_repeats(cell, chosen.thickness if thickness is None else thickness)
    nx, ny = lateral_repeats(cell, BLOCK_WIDTH)
    finest = finest_sampling(chosen)
    if sampling is not None and sampling > finest:
        raise InputError(f"sampling {sampling} Å is too coarse: {reach(chosen):g} mrad need {finest:.4f} Å or less")
    grid = imaging_grid(cell, finest if sampling is None else sampling, SLICE_THICKNESS)
    cell = centre_layers(cell, grid.shape[2])
    return Specimen(cell, (nx, ny, nz), cell.repeated(nx, ny, nz), repeated_grid(grid, nx, ny, nz), chosen)


def oriented(crystal: Structure, zone: Sequence[int], basis: str, *, plane: bool, primitive: bool) -> ImagingCell:
    """`orient` for what a command line gives: the basis is any text and checked."""
    if basis != "conventional" and basis != "input":
        raise InputError(
            f"zone basis {basis!r}: choose 'conventional' (standard cell) or 'input' (the file's own cell)"
        )
    return orient(crystal, zone, "input" if basis == "input" else "conventional", plane=plane, primitive=primitive)


def adjusted_preset(
    name: str,
    *,
    defocus: float | None = None,
    source_size: float | None = None,
    dose: float | None = None,
) -> Preset:
    """A preset with some of its numbers replaced: defocus in nm, source size (FWHM) in Å, dose in e/Å²."""
    preset = get_preset(name)
    given = {
        "defocus": None if defocus is None else 10.0 * defocus,
        "source_size": source_size,
        "dose": dose,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        return preset
    return preset.model_copy(update={"microscope": Microscope(**(preset.microscope.model_dump() | changes))})


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


def finest_sampling(preset: Preset) -> float:
    """Coarsest pixel in Å that carries every detector angle undamped."""
    return needed_sampling(preset.microscope.wavelength, reach(preset))


def reach(preset: Preset) -> float:
    """Angle in mrad up to which a preset needs the scattering: the outermost detector's, or what lenses pass."""
    if preset.mode != "stem":
        return PARALLEL_REACH
    convergence = preset.microscope.convergence
    return max(largest_angle(preset.detectors), convergence) if preset.detectors else 2.0 * convergence


def density(cut: Specimen | ImagingCell | Structure, source: str = "free-atoms", **options: Any) -> DensityField:
    """Deformation density of the crystal from a source: its registered name or a density file.

    Of a specimen or imaging cell it is that of the crystal before rotation and strain: a file or a DFT run belongs to
    that frame, and the potential carries it over by fractional coordinates.
    """
    cell = cut.cell if isinstance(cut, Specimen) else cut
    crystal = cell.unrotated if isinstance(cell, ImagingCell) else cell
    return get_source(source, **options)(crystal, PeriodicGrid.from_spacing(crystal.cell, DENSITY_SPACING))


def potential(
    cut: Specimen,
    field: DensityField,
    *,
    phonons: int = 8,
    temperature: float = 300.0,
    seed: int = 0,
) -> Iterator[PotentialSlices]:
    """Potentials of the block, one for each frozen-phonon configuration; one at rest if ``phonons`` is 0.

    Atoms move independently (Einstein model) with the mean square displacements of
    `rhotem.structure.debye_waller`; the deformation density is smeared by their mean. The same ``seed`` gives the same
    displacements whatever the density, so sources are compared without thermal noise.
    """
    from rhotem.microscope.phonons import displacements
    from rhotem.structure.debye_waller import mean_square_displacements

    check_phonons(phonons)
    if phonons == 0:
        yield build_potential(cut.block, cut.grid, field)
        return
    msd, _ = mean_square_displacements(cut.block.structure, temperature)
    for moved in displacements(msd, phonons, np.random.default_rng(seed)):
        yield build_potential(cut.block, cut.grid, field, displacements=moved, deformation_msd=float(np.mean(msd)))


def check_phonons(phonons: int) -> None:
    """Refuse a negative number of configurations."""
    if phonons < 0:
        raise InputError(f"phonons {phonons}: expected 0 (atoms at rest) or the number of configurations")


def image(
    cut: Specimen,
    potentials: Iterable[PotentialSlices],
    *,
    phonons: int = 8,
    seed: int = 0,
    progress: Progress = silent,
    **options: Any,
) -> ImageSet:
    """Images of one cell of the specimen, averaged over the equal cells of the block.

    ``phonons`` tells how many potentials to expect; further options as `rhotem.microscope.simulate.simulate`.
    """
    from rhotem.microscope.parallel import parallel_images
    from rhotem.microscope.scan import Scan
    from rhotem.microscope.simulate import simulate

    # A stream of its own: the displacements come from default_rng(seed).
    rng = np.random.default_rng((seed, 1))
    if cut.preset.mode != "stem":
        shown = parallel_images(
            potentials, cut.preset.microscope, configurations=max(1, phonons), rng=rng, progress=progress
        )
        return shown if cut.preset.mode == "hrtem" else replace(shown, images={})
    nx, ny = cut.repeats[:2]
    lx, ly = cut.cell.lengths[:2]
    one = Scan.cell((float(lx), float(ly)), cut.preset.microscope)
    scan = Scan((one.shape[0] * nx, one.shape[1] * ny), (one.size[0] * nx, one.size[1] * ny))
    return simulate(
        potentials,
        cut.preset.microscope,
        scan,
        cut.preset.detectors,
        repeats=(nx, ny),
        configurations=max(1, phonons),
        rng=rng,
        progress=progress,
        **options,
    )
