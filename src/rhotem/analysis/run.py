"""The workflow on one page: structure -> density -> potential -> images.

Five calls with the names of the command line do what `rhotem image` does::

    crystal = structure("LiCoO2.cif")
    cut     = specimen(crystal, zone=(1, 0, 0), thickness=10.0)
    rho     = density(cut, source="free-atoms")
    v       = potential(cut, rho, phonons=4)
    images  = image(cut, v)
"""

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import replace
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from rhotem.analysis import PHONONS, TEMPERATURE
from rhotem.analysis.core_losses import check_edges, with_core_losses
from rhotem.analysis.motion import Moving
from rhotem.analysis.optics import adjusted_preset
from rhotem.analysis.polar import checked
from rhotem.analysis.recording import check_recording, recording_microscope, remarks
from rhotem.analysis.specimen import Specimen, direction, oriented, specimen, structure
from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.core.keywords import check_keywords
from rhotem.density.field import DensityField
from rhotem.density.source import DensitySource, default_source, get_source
from rhotem.density.stream import StreamedDensity
from rhotem.microscope.cost import Sizes
from rhotem.microscope.images import ImageSet
from rhotem.microscope.plan import Plan
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import Microscope
from rhotem.microscope.simulate import simulate
from rhotem.potential.slices import PotentialSlices, build_potential
from rhotem.structure.indices import standard_cell
from rhotem.structure.model import Structure
from rhotem.structure.orient import ImagingCell

__all__ = [
    "Potentials",
    "Specimen",
    "adjusted_preset",
    "check_recording",
    "density",
    "direction",
    "image",
    "oriented",
    "potential",
    "remarks",
    "specimen",
    "structure",
]

#: Largest step in Å of the grid that smooth parts of a deformation density are sampled on, for sources without one.
DENSITY_SPACING = 0.12
#: Pixel in Å of noise-free images over a field of view, where none is asked for.
PIXEL = 0.1


def density(
    cut: Specimen | ImagingCell | Structure,
    source: str | DensitySource | None = None,
    *,
    allow_polar: bool = False,
    **options: Any,
) -> DensityField:
    """Deformation density of the crystal from a source: its registered name, a density file, or the source itself.

    None: the learned density (`rhotem.density.source.default_source`).

    For a specimen or imaging cell, the density is that of the crystal before rotation and strain: a file or a DFT run
    belongs to that frame, and the potential carries it over by fractional coordinates.

    Raises
    ------
    InputError
        If a learned density gives a slab a potential step that no surface has (`rhotem.analysis.polar`), unless
        ``allow_polar``; or as the source.
    """
    cell = cut.cell if isinstance(cut, Specimen) else cut
    crystal = cell.unrotated if isinstance(cell, ImagingCell) else cell
    maker = get_source(source or default_source(), **options) if source is None or isinstance(source, str) else source
    return checked(maker(crystal, density_grid(maker, crystal)), allow_polar)


def density_grid(source: object, crystal: Structure) -> PeriodicGrid:
    """The grid for the smooth part of a source's density: at its own largest step, ``spacing`` in Å, if it has one."""
    return PeriodicGrid.from_spacing(crystal.cell, getattr(source, "spacing", DENSITY_SPACING))


class Potentials:
    """Potentials of a specimen's block, one for each frozen-phonon configuration, built one at a time as asked for.

    Going through them again builds the same ones again. ``len`` is their number, ``phonons`` that of configurations: 0
    for atoms at rest. ``motion`` says how far atoms move and why, ``progress`` is told of stages on the way to one.
    """

    #: Whether slices are read from there when they are needed.
    on_disk = False

    def __init__(
        self, cut: Specimen, field: DensityField | StreamedDensity, memory: float | None, **moving: Unpack[Moving]
    ) -> None:
        from rhotem.structure.debye_waller import thermal_motion

        check_keywords(moving, Moving, "potential")
        frames, phonons = moving.get("frames"), moving.get("phonons")
        if phonons is None:
            phonons = PHONONS if frames is None else len(frames)
        check_phonons(phonons)
        self.field, self.phonons = field, phonons
        self.temperature, self.seed = moving.get("temperature", TEMPERATURE), moving.get("seed", 0)
        self._cut, self._memory = cut, memory
        self.progress: Progress = silent
        self._frames = frames.picked(phonons) if frames and phonons else None
        if self._frames is not None:
            self.motion = self._frames.motion(cut.block)
        else:
            self.motion = thermal_motion(cut.block.structure, self.temperature, msd=moving.get("msd"))

    @property
    def independent(self) -> bool:
        """Whether atoms of equal cells move independently of each other: not at rest, nor in copies of a trajectory."""
        return self.phonons > 0 and self._frames is None

    def record(self) -> dict[str, Any]:
        """How the atoms move, JSON-ready."""
        moving = {"seed": self.seed, **self.motion.record()}
        return {"configurations": self.phonons, **(moving if self.phonons else {"displacements": "at rest"})}

    @property
    def sizes(self) -> Sizes:
        """What one will be, so that the simulation can be planned before it is made."""
        return sizes_of(self._cut, self.on_disk)

    def __len__(self) -> int:
        return max(1, self.phonons)

    def displacements(self) -> Iterator[npt.NDArray[np.float64] | None]:
        """Displacements (N, 3) in Å of the block's atoms in every configuration; one None for atoms at rest."""
        from rhotem.microscope.phonons import displacements

        if self._frames is not None:
            yield from (self._frames.of_block(self._cut.block, number) for number in range(self.phonons))
        elif self.phonons:
            yield from displacements(self.motion.values, self.phonons, np.random.default_rng(self.seed))
        else:
            yield None

    def _slicing(self) -> dict[str, Any]:
        """How slices that waves pass are built."""
        return {"memory_limit": self._memory, "oversampling": self._cut.oversampling, "whole_atoms": True}

    def __iter__(self) -> Iterator[PotentialSlices]:
        cut, field = self._cut, self.field
        if not isinstance(field, DensityField):
            raise InputError("a density given plane by plane: take rhotem.analysis.streamed.StreamedPotentials")
        common = self._slicing()
        if self.phonons:
            common["deformation_msd"] = self.motion.isotropic
        for moved in self.displacements():
            yield build_potential(cut.block, cut.grid, field, displacements=moved, **common)


def sizes_of(cut: Specimen, on_disk: bool = False) -> Sizes:
    """What one potential of a specimen will be."""
    n_x, n_y, slices = cut.grid.shape
    extent = (float(cut.grid.cell[0, 0]), float(cut.grid.cell[1, 1]))
    held = 4.0 * cut.grid.size * cut.oversampling**2
    thickness, planes = float(cut.grid.cell[2, 2]) / slices, (cut.planes, cut.planes_of_elements)
    return Sizes(extent, (n_x, n_y), slices, thickness, held, on_disk, *planes)


def potential(
    cut: Specimen, field: DensityField, *, memory: float | None = None, **moving: Unpack[Moving]
) -> Potentials:
    """Potentials of the block, one for each frozen-phonon configuration; one at rest if ``phonons`` is 0.

    ``phonons=None``: `PHONONS` configurations, or all of ``frames``. With ``frames``
    (`rhotem.structure.frames.read_frames`) of the specimen's crystal each of them is a configuration, and the other
    arguments of motion count for nothing. Without:

    Atoms move independently (Einstein model) with the mean square displacements of
    `rhotem.structure.debye_waller.thermal_motion` at ``temperature`` (K): those of ``msd`` (⟨u²⟩ in Å² by element), of
    the structure's source, or of the literature; tensors where the source states them. The deformation density is
    smeared by their mean over directions and atoms. The same ``seed`` gives the same displacements whatever the
    density, so sources are compared without thermal noise. ``memory`` is what building one may use, in bytes.

    Raises
    ------
    InputError
        If the number of configurations or the temperature is negative, or a given ⟨u²⟩ is none or of no atom.
    """
    return Potentials(cut, field, memory, **moving)


def check_phonons(phonons: int) -> None:
    """Refuse a negative number of configurations."""
    if phonons < 0:
        raise InputError(f"phonons {phonons}: expected 0 (atoms at rest) or the number of configurations")


class Recording(TypedDict, total=False):
    """What is asked of a recording.

    ``seed`` of counting noise. ``scan_step``: largest distance of scan positions, or pixel of the camera, in Å; None:
    as many as determine the image, with counting noise the microscope's ``pixel``. ``field_of_view``: least side of the
    images in Å, the periodic image continued over whole cells; None: one cell, with counting noise the microscope's
    ``field``. Patterns of pixelated detectors are computed for every position of it. ``precision``: take as many
    configurations (of all that the potentials hold) as bring the standard error of every image by thermal motion, at
    columns, below this fraction of the image's range.

    The others as `rhotem.microscope.simulate.simulate`.
    """

    seed: int
    scan_step: float | None
    field_of_view: float | None
    precision: float | None
    algorithm: Literal["auto", "bloch", "multislice", "prism"]
    plan: Plan | None
    memory: float | None
    scheduler: str | None
    error_bar: bool
    announce: Callable[[Plan], None]


def image(
    cut: Specimen,
    potentials: Iterable[PotentialSlices],
    *,
    phonons: int | None = None,
    progress: Progress = silent,
    **recording: Unpack[Recording],
) -> ImageSet:
    """Images of one cell of the specimen, averaged over the equal cells of the block.

    Parameters
    ----------
    cut : Specimen
    potentials : iterable of PotentialSlices
        Of `potential`, or a list; its length is the number of configurations.
    phonons : int, optional
        That number, for an iterable without length.
    progress : Progress
    **recording
        `Recording`.

    Raises
    ------
    InputError
        If the number of configurations is not known, a length is not positive, or an option has no meaning here.
    """
    check_keywords(recording, Recording, "image")
    options: dict[str, Any] = dict(recording)
    seed, precision = options.pop("seed", 0), options.pop("precision", None)
    scan_step, field_of_view = options.pop("scan_step", None), options.pop("field_of_view", None)
    asked = (scan_step, field_of_view, options.get("algorithm", "auto"))
    check_recording(cut.preset, *asked, phonons=getattr(potentials, "phonons", phonons), precision=precision)
    if phonons is None and not isinstance(potentials, Sized):
        raise InputError("potentials without length: say how many there are, phonons=...")
    number = max(1, phonons) if phonons is not None else len(potentials)  # type: ignore[arg-type]  # Sized, see above
    microscope = recording_microscope(cut.preset, scan_step, field_of_view)
    # A stream of its own: the displacements come from default_rng(seed).
    options |= {"rng": np.random.default_rng((seed, 1)), "progress": progress}
    if cut.preset.mode != "stem":
        shown = _parallel(cut, potentials, microscope, number, options)
    else:
        scan, repeats = _scan(cut, microscope, scan_step, field_of_view)
        if precision is not None:
            options |= {"precision": precision, "most": number}
            number = min(PHONONS, number)
        options |= {"independent": getattr(potentials, "independent", True), "repeats": repeats}
        check_edges(cut, potentials)
        shown = simulate(potentials, microscope, scan, cut.preset.detectors, configurations=number, **options)
    if precision is not None and isinstance(potentials, Potentials):
        potentials.phonons = shown.record["configurations"]
    return recorded(cut, with_core_losses(cut, potentials, shown, progress), scan_step, field_of_view)


def _parallel(
    cut: Specimen, potentials: Iterable[PotentialSlices], microscope: Microscope, number: int, options: dict[str, Any]
) -> ImageSet:
    """Image, or diffraction pattern, by parallel illumination."""
    from rhotem.microscope.parallel import parallel_images

    shown = parallel_images(
        potentials,
        microscope,
        repeats=cut.repeats[:2],
        hologram=cut.preset.mode == "holography",
        configurations=number,
        rng=options["rng"],
        progress=options["progress"],
    )
    pattern = replace(shown.plane_wave, hkl=spot_indices(cut.cell)) if shown.plane_wave else None
    if cut.preset.mode == "diffraction":
        shown = replace(shown, images={}, clean={}, exit_wave=None)
    return replace(shown, plane_wave=pattern)


def recorded(cut: Specimen, shown: ImageSet, step: float | None, field: float | None) -> ImageSet:
    """Images at the positions that were asked for, and what the record says of them."""
    if cut.preset.microscope.dose is None and not shown.patterns and (step or field):
        shown = shown.recorded(step or PIXEL, field or 0.0)
    scanned = {"positions": list(shown.scan.shape), "size_angstrom": list(shown.scan.size)}
    asked = {"recorded": {"scan_step": step, "field_of_view": field}} if step or field else {}
    real = {"thickness": 10.0 * cut.thickness}  # without vacuum along the beam
    lengths = [float(length) for length in cut.cell.lengths[:2]]
    reciprocal = {"reciprocal": {"cell_A": lengths, "hkl": spot_indices(cut.cell).tolist()}}
    return replace(shown, record=shown.record | {"scan": scanned} | asked | real | reciprocal)


def spot_indices(cell: ImagingCell) -> npt.NDArray[np.float64]:
    """Indices (hkl) in the conventional cell, columns, of the imaging cell's reciprocal vectors."""
    standard = standard_cell(cell.origin).cell
    return np.asarray(standard @ (np.eye(3) + cell.strain) @ cell.rotation.T / cell.lengths)


def _scan(
    cut: Specimen, microscope: Microscope, step: float | None, field: float | None
) -> tuple[Scan, tuple[int, int]]:
    """Probe positions, and of how many equal cells the images are the mean.

    Images are known everywhere from the fewest positions of one cell; patterns only where the probe was.
    """
    nx, ny = cut.repeats[:2]
    lx, ly = (float(length) for length in cut.cell.lengths[:2])
    one = Scan.cell((lx, ly), microscope)
    if not any(d.patterns for d in cut.preset.detectors) or (step is None and field is None):
        return Scan((one.shape[0] * nx, one.shape[1] * ny), (lx * nx, ly * ny)), (nx, ny)
    if step is not None:
        one = Scan.region((0.0, 0.0), (lx, ly), step, (lx, ly))
    mx, my = (max(1, int(np.ceil((field or 0.0) / length - 1e-9))) for length in (lx, ly))
    return Scan((one.shape[0] * mx, one.shape[1] * my), (lx * mx, ly * my)), (1, 1)
