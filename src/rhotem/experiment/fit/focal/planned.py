"""A fit of a focal series from files and a plan: lattice, exit waves and fit one after another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rhotem.analysis import run as steps
from rhotem.analysis import workflow
from rhotem.analysis.plan import Plan
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.voice import Voice
from rhotem.core import InputError
from rhotem.experiment.calibrate.contrast import lattice_of_either
from rhotem.experiment.calibrate.lattice import ImageLattice
from rhotem.experiment.fit import told
from rhotem.experiment.fit.focal.fit import SeriesFit, fit_series
from rhotem.experiment.fit.focal.model import FocalLimits
from rhotem.experiment.fit.focal.state import Photo
from rhotem.experiment.fit.images.planned import Limits, ladder, middle, sets_of_potentials, zone_of
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.read.frames import BURNT, faults, named
from rhotem.scattering.exits import ExitWaves, exit_waves
from rhotem.scattering.patterns.ladder import POINTS

Array = npt.NDArray[np.float64]

#: Distance in nm of the thicknesses that are held.
LADDER = 0.4
#: Part of Cs, and Å, by which it may differ from what is stated.
CS_PART, CS_LEAST = 0.2, 2e5
#: Change of focus in nm over a series from which a step was given in another unit.
FARTHEST = 2e3


@dataclass(frozen=True, eq=False)
class Series:
    """Images of a focal series, and which of the recorded ones they are.

    Parameters
    ----------
    frames : list of Measurement
        One image each.
    places : list of int
        From 0: the focus of each is so many steps from that of the first that was recorded.
    """

    frames: list[Measurement]
    places: list[int]


def frames_of(measured: Sequence[Measurement], without: Sequence[int] = ()) -> Series:
    """The images of a series: files of one each, or the frames of one stack.

    Parameters
    ----------
    measured : sequence of Measurement
    without : sequence of int
        Numbers, from 1, of images that are left out; foci of the others stay.

    Raises
    ------
    InputError
        If it is neither, shapes or pixels differ, there is no such number, or one that is not left out is saturated,
        blank, there twice, or of another brightness.
    """
    stack = measured[0]
    if len(measured) == 1 and stack.kind == "image stack":
        found = [replace(stack, data=one, kind="image", axes=stack.axes[-2:], saturated=0.0) for one in stack.data]
    else:
        found = list(measured)
    wrong = [one for one in found if one.kind != "image"]
    if wrong:
        raise InputError(f"{wrong[0].source.path}: {wrong[0].kind}; a focal series is one stack, or images one by one")
    told.check_alike(found, "images of a focal series")
    if unknown := sorted(set(without) - set(range(1, len(found) + 1))):
        raise InputError(f"--without {unknown[0]}: the series has images 1 to {len(found)}")
    places = [n for n in range(len(found)) if n + 1 not in without]
    if not places:
        raise InputError("--without: no image of the series is left")
    burnt = {n: f"is burnt: {100 * found[n].saturated:.0f} % of its pixels are saturated" for n in places}
    burnt = {n: what for n, what in burnt.items() if found[n].saturated > BURNT}
    bad = {places[n]: what for n, what in faults([found[k].data for k in places]).items()} | burnt
    if bad:
        numbers = ",".join(str(n + 1) for n in sorted({*bad, *(n - 1 for n in without)}))
        raise InputError(
            f"{found[min(bad)].source.path}: of the series {named(dict(sorted(bad.items())))}; --without {numbers} "
            "leaves out, foci of the others stay"
        )
    return Series([found[n] for n in places], places)


def fit_focal(
    series: Series,
    plan: Plan,
    limits: Limits,
    step: float,
    voice: Voice,
) -> SeriesFit:
    """Fit a focal series.

    Parameters
    ----------
    series : Series
    plan : Plan
        Of preset hrtem; its thickness is the largest that is tried, its convergence the standard deviation of the
        illumination angle, its Cs what is refined.
    limits : Limits
        Defocus of the first image, and astigmatism.
    step : float
        Stated change of focus from image to image, nm; positive is more underfocus.
    voice : Voice

    Raises
    ------
    InputError
        If the lattice is not in the images, or a step refuses.
    """
    measured, number = told.of_one_pixel(series.frames), series.places[-1] + 1
    if not abs(step) * number < FARTHEST:
        raise InputError(f"--focus-step {step:g}: expected nm, less than {FARTHEST:g} nm in all {number} images")
    job = workflow.prepare(plan, voice)
    looked = [measured[n] for n in sorted({0, len(measured) // 2, len(measured) - 1})]
    lattice = lattice_of_either(looked, job.crystal, zone_of(job))
    voice.tell(f"lattice     {lattice.pixel} Å per pixel, turned by {lattice.rotation}°")
    made = workflow.cut(plan, job.crystal, [job.name])
    voice.tell(str(made))
    depths = _depths(made)
    for remark in lattice.remarks:  # after all that may refuse in one line
        voice.warn(f"{measured[0].source.path}: {remark}")
    held = _held(made, next(sets_of_potentials(job, made, voice)), depths, voice)
    lens = made.preset.microscope
    slack = max(CS_PART * abs(lens.cs), CS_LEAST)
    spread = {"focal_spread": lens.focal_spread} if lens.focal_spread else {}
    first = step * series.places[0]  # foci are those of the first image that is left
    foci = (10 * (limits.foci[0] + first), 10 * (limits.foci[1] + first))
    tried = FocalLimits(foci, (lens.cs - slack, lens.cs + slack), 10 * limits.astigmatism, **spread)
    photos = [Photo(middle(one.data), bool(one.counts)) for one in measured]
    fitted = fit_series(
        photos,
        held,
        orientations(lattice),
        [10 * step * n for n in series.places],
        tried,
        convergence=lens.convergence,
        progress=voice.progress,
    )
    told.check_scaleless(fitted, measured[0], job.crystal.formula, lattice.matrix)
    return fitted


def _held(made: Specimen, potentials: steps.Potentials, depths: list[float], voice: Voice) -> ExitWaves:
    return exit_waves(
        potentials,
        made.preset.microscope,
        [10 * d for d in depths],
        repeats=(int(made.repeats[0]), int(made.repeats[1])),
        progress=voice.progress,
        configurations=max(1, potentials.phonons),
    )


def _depths(made: Specimen) -> list[float]:
    """Thicknesses in nm that are held: refused before anything is computed if a cubic needs more."""
    cell = 0.1 * float(made.cell.lengths[2])
    found = ladder(made.thickness, cell, LADDER)
    if len(found) < POINTS:
        raise InputError(f"{made.thickness:.3g} nm at most: a fit needs {POINTS} thicknesses; give a larger --thickest")
    return found


def orientations(lattice: ImageLattice) -> list[Array]:
    """The matrix of a lattice, and what rotations of the lattice make of it: which one it is columns do not tell."""
    vectors, result = lattice.projection.vectors, []
    for degrees in range(0, 360, 30):
        turn = np.deg2rad(degrees)
        matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        # the projection's cell may be centred
        whole = 2 * vectors @ matrix.T @ np.linalg.inv(vectors)
        if np.abs(whole - np.round(whole)).max() < 0.02:
            result.append(matrix @ lattice.matrix)
    return result
