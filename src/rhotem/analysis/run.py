"""The workflow on one page: structure -> density -> potential -> images.

Five calls with the names of the command line do what `rhotem image` does::

    crystal = structure("LiCoO2.cif")
    cut     = specimen(crystal, zone=(1, 0, 0), thickness=10.0)
    rho     = density(cut, source="free-atoms")
    v       = potential(cut, rho, phonons=4)
    images  = image(cut, v)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rhotem.analysis import PHONONS, TEMPERATURE
from rhotem.analysis.polar import checked
from rhotem.analysis.recording import check_recording, remarks
from rhotem.analysis.specimen import Specimen, direction, oriented, specimen, structure
from rhotem.core import InputError, PeriodicGrid, Progress, silent
from rhotem.density.field import DensityField
from rhotem.density.source import default_source, get_source
from rhotem.density.stream import StreamedDensity
from rhotem.microscope.cost import Sizes
from rhotem.microscope.images import ImageSet
from rhotem.microscope.presets import Preset, get_preset
from rhotem.microscope.scan import Scan
from rhotem.microscope.settings import (
    Microscope,
    Pixelated,
    parse_aberration,
    parse_detector,
)
from rhotem.microscope.simulate import simulate
from rhotem.potential.slices import PotentialSlices, build_potential
from rhotem.structure.frames import Frames
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


def adjusted_preset(
    name: str,
    *,
    energy: float | None = None,
    defocus: float | None = None,
    cs: float | None = None,
    aberrations: Sequence[str] = (),
    detectors: Sequence[str] = (),
    **microscope: Any,
) -> Preset:
    """A preset with some of its settings replaced, in the units of the command line.

    Parameters
    ----------
    name : str
    energy : float, optional
        kV.
    defocus : float, optional
        nm; positive is underfocus.
    cs : float, optional
        Third-order spherical aberration in mm.
    aberrations : sequence of str
        As `rhotem.microscope.settings.parse_aberration` takes them: "C12=2nm", "phi12=30".
    detectors : sequence of str
        As `rhotem.microscope.settings.parse_detector` takes them, "HAADF=68-200"; none: those of the preset.
    **microscope
        Other fields of `rhotem.microscope.settings.Microscope`, in its units: ``convergence`` and ``tilt`` in mrad,
        ``source_size`` in Å, ``dose`` in e/Å², ``camera_step`` in mrad. None leaves a setting as it is.

    Raises
    ------
    InputError
        If the preset is not known or a value is out of range, written wrongly, or given twice.
    """
    coefficients = [parse_aberration(text) for text in aberrations]
    if len(dict(coefficients)) < len(coefficients):
        raise InputError(f"aberrations {', '.join(aberrations)}: one is given twice; give each once")
    return get_preset(name).adjusted(
        [parse_detector(text) for text in detectors],
        energy=None if energy is None else 1e3 * energy,
        defocus=None if defocus is None else 10.0 * defocus,
        cs=None if cs is None else 1e7 * cs,
        aberrations=dict(coefficients) or None,
        **microscope,
    )


def density(
    cut: Specimen | ImagingCell | Structure, source: str | None = None, *, allow_polar: bool = False, **options: Any
) -> DensityField:
    """Deformation density of the crystal from a source: its registered name or a density file.

    None: the learned density, or free atoms where PyTorch is missing (`rhotem.density.source.default_source`).

    Of a specimen or imaging cell it is that of the crystal before rotation and strain: a file or a DFT run belongs to
    that frame, and the potential carries it over by fractional coordinates.

    Raises
    ------
    InputError
        If a learned density gives a slab a potential step that no surface has (`rhotem.analysis.polar`), unless
        ``allow_polar``; or as the source.
    """
    cell = cut.cell if isinstance(cut, Specimen) else cut
    crystal = cell.unrotated if isinstance(cell, ImagingCell) else cell
    made = get_source(source or default_source(), **options)
    return checked(made(crystal, density_grid(made, crystal)), allow_polar)


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
        self,
        cut: Specimen,
        field: DensityField | StreamedDensity,
        phonons: int,
        *,
        temperature: float,
        seed: int,
        memory: float | None,
        msd: Mapping[str, float] | None = None,
        frames: Frames | None = None,
    ) -> None:
        from rhotem.structure.debye_waller import thermal_motion

        check_phonons(phonons)
        self.field, self.phonons, self.temperature, self.seed = field, phonons, temperature, seed
        self._cut, self._memory = cut, memory
        self.progress: Progress = silent
        self._frames = frames.picked(phonons) if frames and phonons else None
        if self._frames is not None:
            self.motion = self._frames.motion(cut.block)
        else:
            self.motion = thermal_motion(cut.block.structure, temperature, msd=msd)

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
        cut, (n_x, n_y, slices) = self._cut, self._cut.grid.shape
        extent = (float(cut.grid.cell[0, 0]), float(cut.grid.cell[1, 1]))
        held = 4.0 * cut.grid.size * cut.oversampling**2
        return Sizes(extent, (n_x, n_y), slices, float(cut.grid.cell[2, 2]) / slices, held, self.on_disk)

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

    def __iter__(self) -> Iterator[PotentialSlices]:
        cut, field = self._cut, self.field
        if not isinstance(field, DensityField):
            raise InputError("a density given plane by plane: take rhotem.analysis.streamed.StreamedPotentials")
        common: dict[str, Any] = {"memory_limit": self._memory, "oversampling": cut.oversampling}
        if self.phonons:
            common["deformation_msd"] = self.motion.isotropic
        for moved in self.displacements():
            yield build_potential(cut.block, cut.grid, field, displacements=moved, **common)


def potential(
    cut: Specimen,
    field: DensityField,
    *,
    phonons: int | None = None,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    memory: float | None = None,
    msd: Mapping[str, float] | None = None,
    frames: Frames | None = None,
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
    number = phonons if phonons is not None else PHONONS if frames is None else len(frames)
    return Potentials(cut, field, number, temperature=temperature, seed=seed, memory=memory, msd=msd, frames=frames)


def check_phonons(phonons: int) -> None:
    """Refuse a negative number of configurations."""
    if phonons < 0:
        raise InputError(f"phonons {phonons}: expected 0 (atoms at rest) or the number of configurations")


def image(
    cut: Specimen,
    potentials: Iterable[PotentialSlices],
    *,
    phonons: int | None = None,
    seed: int = 0,
    scan_step: float | None = None,
    field_of_view: float | None = None,
    precision: float | None = None,
    progress: Progress = silent,
    **options: Any,
) -> ImageSet:
    """Images of one cell of the specimen, averaged over the equal cells of the block.

    Parameters
    ----------
    cut : Specimen
    potentials : iterable of PotentialSlices
        Of `potential`, or a list; its length is the number of configurations.
    phonons : int, optional
        That number, for an iterable without length.
    seed : int
        Of counting noise.
    scan_step : float, optional
        Largest distance of scan positions, or pixel of the camera, in Å. None: as many as determine the image, with
        counting noise the microscope's ``pixel``.
    field_of_view : float, optional
        Least side of the images in Å: the periodic image is continued over whole cells. None: one cell, with counting
        noise the microscope's ``field``. Patterns of pixelated detectors are computed for every position of it.
    precision : float, optional
        Take as many configurations (of all that ``potentials`` hold) as bring the standard error of every image by
        thermal motion, at columns, below this fraction of the image's range.
    progress : Progress
    **options
        As `rhotem.microscope.simulate.simulate`: ``algorithm``, ``memory``, ``announce``, ...

    Raises
    ------
    InputError
        If the number of configurations is not known, a length is not positive, or an option has no meaning here.
    """
    recording = (scan_step, field_of_view, options.get("algorithm", "auto"))
    check_recording(cut.preset, *recording, phonons=getattr(potentials, "phonons", phonons), precision=precision)
    if phonons is None and not isinstance(potentials, Sized):
        raise InputError("potentials without length: say how many there are, phonons=...")
    number = max(1, phonons) if phonons is not None else len(potentials)  # type: ignore[arg-type]  # Sized, see above
    given = {"pixel": scan_step, "field": field_of_view}
    microscope = cut.preset.microscope.model_copy(update={k: v for k, v in given.items() if v is not None})
    # A stream of its own: the displacements come from default_rng(seed).
    rng = np.random.default_rng((seed, 1))
    if cut.preset.mode != "stem":
        from rhotem.microscope.parallel import parallel_images

        shown = parallel_images(
            potentials, microscope, repeats=cut.repeats[:2], configurations=number, rng=rng, progress=progress
        )
        pattern = replace(shown.plane_wave, hkl=spot_indices(cut.cell)) if shown.plane_wave else None
        shown = replace(shown, plane_wave=pattern, images=shown.images if cut.preset.mode == "hrtem" else {})
    else:
        scan, repeats = _scan(cut, microscope, scan_step, field_of_view)
        if precision is not None:
            options |= {"precision": precision, "most": number}
            number = min(PHONONS, number)
        options["independent"] = getattr(potentials, "independent", True)
        shown = simulate(
            potentials,
            microscope,
            scan,
            cut.preset.detectors,
            repeats=repeats,
            configurations=number,
            rng=rng,
            progress=progress,
            **options,
        )
    if precision is not None and isinstance(potentials, Potentials):
        potentials.phonons = shown.record["configurations"]
    if microscope.dose is None and not shown.patterns and (scan_step or field_of_view):
        shown = shown.recorded(scan_step or PIXEL, field_of_view or 0.0)
    scanned = {"positions": list(shown.scan.shape), "size_angstrom": list(shown.scan.size)}
    asked = {"recorded": {"scan_step": scan_step, "field_of_view": field_of_view}} if scan_step or field_of_view else {}
    real = {"thickness": 10.0 * cut.thickness}  # without vacuum along the beam
    return replace(shown, record=shown.record | {"scan": scanned} | asked | real)


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
    if not any(isinstance(d, Pixelated) for d in cut.preset.detectors) or (step is None and field is None):
        return Scan((one.shape[0] * nx, one.shape[1] * ny), (lx * nx, ly * ny)), (nx, ny)
    if step is not None:
        one = Scan.region((0.0, 0.0), (lx, ly), step, (lx, ly))
    mx, my = (max(1, int(np.ceil((field or 0.0) / length - 1e-9))) for length in (lx, ly))
    return Scan((one.shape[0] * mx, one.shape[1] * my), (lx * mx, ly * my)), (1, 1)
