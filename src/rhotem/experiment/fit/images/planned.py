"""A fit of images from files and a plan: lattice, response and fit one after another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rhotem.analysis import responses, workflow
from rhotem.analysis import run as steps
from rhotem.analysis.alike import AlikePotentials
from rhotem.analysis.motion import Moving
from rhotem.analysis.plan import Plan
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.voice import Voice
from rhotem.core import InputError
from rhotem.experiment.calibrate.contrast import lattice_of_either
from rhotem.experiment.calibrate.lattice import ImageLattice, find_lattice
from rhotem.experiment.fit import told
from rhotem.experiment.fit.images.fit import ImageFit, fit_images
from rhotem.experiment.fit.images.recorded import Recorded
from rhotem.experiment.fit.images.specimens import Exchange, Making, exchange_nodes
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.read.frames import BURNT
from rhotem.scattering.patterns.ladder import POINTS
from rhotem.scattering.response import Range, Response, mean_response

#: Distance in nm of the thicknesses that the response holds, and the thinnest.
LADDER, THINNEST = 1.0, 1.0
#: Relative error of the inner angles of detectors that errors allow for; sets of displacements of exchanged atoms.
DOUBT, DRAWS = 0.02, 3
#: Largest side in pixels of the part that is fitted.
SIDE = 128


@dataclass(frozen=True, eq=False)
class Held:
    """A response that answers for some images, and how they lie on it.

    Parameters
    ----------
    specimen : Specimen
    draws : tuple of Response
        One for each set of displacements.
    pixels : (2, 2) array
        Takes (column, row) to Å along x and y of the crystal's cell.
    """

    specimen: Specimen
    draws: tuple[Response, ...]
    pixels: npt.NDArray[np.float64]

    @property
    def response(self) -> Response:
        """The mean of all sets of displacements."""
        return mean_response(self.draws)


@dataclass(frozen=True)
class Limits:
    """What of the lens is tried: least and largest defocus, and largest astigmatism, in nm."""

    foci: tuple[float, float]
    astigmatism: float

    @property
    def range(self) -> Range:
        """The same for a response."""
        largest = {"C12": 10 * self.astigmatism} if self.astigmatism else {}
        return Range(defocus=(10 * self.foci[0], 10 * self.foci[1]), aberrations=largest)


def fit_recordings(
    measured: Sequence[Measurement],
    plan: Plan,
    limits: Limits,
    voice: Voice,
    *,
    exchange: Exchange | None = None,
) -> ImageFit:
    """Fit images that one scan gave.

    Parameters
    ----------
    measured : sequence of Measurement
        One image for every detector of the plan, in its order; the lattice is found in the first.
    plan : Plan
        Its thickness is the largest that is tried; its detectors, aperture and aberrations are the recording's.
    limits : Limits
    voice : Voice
    exchange : Exchange, optional
        Atoms that may have changed places at random: their share is fitted, too.

    Raises
    ------
    InputError
        If there are not as many detectors as images, or a step refuses.
    """
    images = recordings(measured, plan)
    first = told.of_one_pixel(measured)[0]
    if exchange is None:
        held = response_for(first, plan, limits, voice)
        fitted = fit_images(images, held.response, held.pixels, progress=voice.progress)
        told.check_scaleless(fitted, first, held.specimen.cell.origin.formula, held.pixels)
        return fitted
    place = placed(first, plan, voice)
    cut = place.specimen
    edges, moving = doubted(plan.preset().detectors), dict(place.job.moving)
    making = Making(cut, depths_of(cut), limits.range, DRAWS, moving, voice.progress, edges)
    nodes = exchange_nodes(making, exchange.elements, exchange.shares)
    fitted = fit_images(images, nodes, place.pixels, progress=voice.progress)
    told.check_scaleless(fitted, first, cut.cell.origin.formula, place.pixels)
    return fitted


def recordings(measured: Sequence[Measurement], plan: Plan) -> list[Recorded]:
    """The middles of images with the detectors of a plan, in its order; inner angles may be off by `DOUBT`.

    Raises
    ------
    InputError
        If there are not as many detectors as images, one is no image or saturated, shapes or pixels differ, or a
        detector maps core losses.
    """
    detectors = plan.preset().detectors
    responses.without_losses(detectors)
    if len(detectors) != len(measured):
        raise InputError(
            f"{len(measured)} image{'s' * (len(measured) > 1)} and {len(detectors)} detectors; give one --detector "
            "NAME=inner-outer for each file, in their order"
        )
    for one in measured:
        if one.kind != "image":
            raise InputError(
                f"{one.source.path}: {one.kind}; images of one scan are fitted, one file for each detector: frames of "
                "a stack drift, give one of them or a mean that was aligned"
            )
        if one.saturated > BURNT:
            raise InputError(f"{one.source.path}: {100 * one.saturated:.0f} % of its pixels are saturated")
    told.check_alike(measured, "images of one scan")
    found = []
    for detector, one in zip(detectors, measured, strict=True):
        inner = getattr(detector, "inner", 0.0)
        doubt = detector.model_copy(update={"inner": inner * (1 + DOUBT)}) if inner else None
        found.append(Recorded(detector, middle(one.data), bool(one.counts), doubt=doubt))
    return found


def doubted(detectors: Sequence[object]) -> list[float]:
    """Edges in mrad that doubts of detectors need."""
    inner = [float(getattr(one, "inner", 0.0)) for one in detectors]
    return [edge * (1 + DOUBT) for edge in inner if edge]


@dataclass(frozen=True, eq=False)
class Placed:
    """A specimen and how its lattice lies in an image: ``pixels`` takes (column, row) to Å along x and y."""

    job: workflow.Job
    specimen: Specimen
    pixels: npt.NDArray[np.float64]


def placed(image: Measurement, plan: Plan, voice: Voice) -> Placed:
    """Read the structure of a plan, find its lattice in an image, and cut it.

    Raises
    ------
    InputError
        If the lattice is not in the image, or the image is mirrored.
    """
    job = workflow.prepare(plan, voice)
    lattice = _lattice(image, plan, job)
    voice.tell(f"lattice     {lattice.pixel} Å per pixel, turned by {lattice.rotation}°, match {lattice.match:.2f}")
    if lattice.hand == "mirrored":
        raise InputError(f"{image.source.path}: the image is mirrored; read it with --flip")
    made = workflow.cut(plan, job.crystal, [job.name])
    voice.tell(str(made))
    depths_of(made)
    for remark in lattice.remarks:  # after all that may refuse in one line
        voice.warn(f"{image.source.path}: {remark}")
    return Placed(job, made, lattice.matrix)


def _lattice(image: Measurement, plan: Plan, job: workflow.Job) -> ImageLattice:
    """The lattice in an image of the first detector; columns of a bright field are dark, as a rule."""
    preset, zone = plan.preset(), zone_of(job)
    outer = getattr(preset.detectors[0], "outer", None)
    if outer is None or outer > preset.microscope.convergence:
        return find_lattice(image, job.crystal, zone)
    return lattice_of_either([image], job.crystal, zone)


def zone_of(job: workflow.Job) -> tuple[int, ...]:
    """The zone axis of a plan in the conventional cell, along which the lattice of an image is looked for.

    Raises
    ------
    InputError
        If the plan names a plane, or an axis of the input cell.
    """
    said = job.plan.specimen
    zone, is_plane = steps.direction(job.crystal, said.zone, said.plane)
    if is_plane or said.zone_basis == "input":
        raise InputError("the lattice of an image is that along a zone axis; give --zone in the conventional cell")
    return zone


def response_for(
    image: Measurement,
    plan: Plan,
    limits: Limits,
    voice: Voice,
    *,
    alike: Specimen | None = None,
    draws: int = 1,
) -> Held:
    """The response of a plan's specimen up to its thickness, and how its lattice lies in an image.

    Parameters
    ----------
    image : Measurement
    plan, limits, voice
        As `fit_recordings`.
    alike : Specimen, optional
        Whose atoms move alike (`rhotem.analysis.alike`).
    draws : int
        Sets of displacements; atoms at rest have one.

    Raises
    ------
    InputError
        As `placed`.
    """
    place = placed(image, plan, voice)
    job, made = place.job, place.specimen
    found: list[Response] = []
    for potentials in sets_of_potentials(job, made, voice, alike, draws):
        first = not found
        if first and isinstance(potentials, AlikePotentials):
            voice.tell(f"motion      {100 * potentials.alike:.0f} % of the atoms move as in the first hypothesis")
        held = responses.response(
            made,
            potentials,
            thicknesses=depths_of(made),
            range=limits.range,
            edges=doubted(plan.preset().detectors),
            memory=job.means.memory,
            announce=(lambda told: voice.tell(str(told))) if first else (lambda told: None),
            progress=voice.progress,
        )
        found.append(held)
    return Held(made, tuple(found), place.pixels)


def sets_of_potentials(
    job: workflow.Job, made: Specimen, voice: Voice, alike: Specimen | None = None, draws: int = 1
) -> Iterator[steps.Potentials]:
    """Potentials of a specimen for each set of displacements, which are those of another specimen if one is given.

    Atoms at rest have one set.
    """
    source = workflow.open_source(job, "memory", voice)
    field = steps.density(made, source, allow_polar=job.plan.density.allow_polar)
    for draw in range(draws if job.moving.get("phonons") else 1):
        moving: Moving = {**job.moving, "seed": job.moving.get("seed", 0) + draw}
        if alike is None:
            yield steps.potential(made, field, memory=job.means.memory, **moving)
        else:
            yield AlikePotentials(made, field, job.means.memory, alike, **moving)


def depths_of(made: Specimen) -> list[float]:
    """Thicknesses in nm that a response holds: refused before anything is computed if a cubic needs more."""
    cell = 0.1 * float(made.cell.lengths[2])
    found = ladder(made.thickness, cell)
    if len(found) < POINTS:
        enough = ladder(THINNEST + 2 * POINTS * (LADDER + cell), cell)[POINTS - 1]
        raise InputError(
            f"{made.thickness:.3g} nm at most: a fit needs {POINTS} thicknesses, {LADDER:g} nm or a cell apart; "
            f"--thickest {np.ceil(10 * enough) / 10:g} or more"
        )
    return found


def ladder(thickest: float, cell: float, apart: float = LADDER) -> list[float]:
    """Thicknesses in nm of whole cells (``cell`` nm), about ``apart``."""
    step = cell * max(1, round(apart / cell))
    first = cell * max(1, round(THINNEST / cell))
    return [float(t) for t in np.arange(first, thickest + 1e-6, step)]


def middle(data: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """The middle of an image, not more than `SIDE` pixels along rows and columns."""
    rows, columns = (slice(max(0, (n - SIDE) // 2), max(0, (n - SIDE) // 2) + min(n, SIDE)) for n in data.shape)
    return np.asarray(data[rows, columns], dtype=float)
