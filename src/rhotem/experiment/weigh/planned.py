"""Hypotheses from a plan: one response each, atoms displaced alike."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from rhotem.analysis import workflow
from rhotem.analysis.patterns import patterns
from rhotem.analysis.plan import Plan
from rhotem.analysis.specimen import Specimen
from rhotem.analysis.voice import Voice
from rhotem.core import InputError
from rhotem.experiment.fit.frame import FEW, frame_of
from rhotem.experiment.fit.images.planned import Held, Limits, recordings, response_for, sets_of_potentials
from rhotem.experiment.fit.model import Setting
from rhotem.experiment.fit.pacbed import fit_pattern
from rhotem.experiment.fit.told import of_one_pixel
from rhotem.experiment.measurement import Measurement
from rhotem.experiment.weigh.images import ImageHypothesis
from rhotem.experiment.weigh.named import duplicates
from rhotem.experiment.weigh.patterns import PatternHypothesis
from rhotem.experiment.weigh.weighing import TRIALS, Weighing, weigh
from rhotem.scattering.patterns import Patterns
from rhotem.scattering.patterns.mean import mean_patterns

Simulated = TypeVar("Simulated")

#: Sets of displacements, where no number is given.
DRAWS = 4


def weigh_recordings(
    measured: Sequence[Measurement],
    plans: dict[str, Plan],
    limits: Limits,
    voice: Voice,
    *,
    trials: int = TRIALS,
    draws: int = DRAWS,
) -> Weighing:
    """Weigh hypotheses on images of one scan.

    Parameters
    ----------
    measured : sequence of Measurement
        One image for every detector of the plans, in their order.
    plans : dict
        Name -> plan, which differ in structure or density only. Atoms of all move as those of the first.
    limits : Limits
    voice : Voice
    trials : int
        Recordings simulated of each.
    draws : int
        Sets of displacements; two or more tell the error that thermal motion makes.

    Raises
    ------
    InputError
        If there are fewer than two plans, or a step of a fit refuses.
    """
    first = next(iter(plans.values()))
    images = recordings(measured, first)
    shown = of_one_pixel(measured)[0]

    def made(plan: Plan, alike: Specimen | None) -> tuple[Specimen, Held]:
        held = response_for(shown, plan, limits, voice, alike=alike, draws=draws)
        return held.specimen, held

    same, held = _simulated(plans, made, voice)
    hypotheses = [ImageHypothesis(name, one.response, one.pixels, one.draws) for name, one in held.items()]
    weighed = weigh(hypotheses, images, trials=trials, seed=first.computing.seed, progress=voice.progress)
    return replace(weighed, same=same)


def weigh_pattern(
    measured: Measurement,
    plans: dict[str, Plan],
    tilt: float,
    angles: tuple[float, float],
    voice: Voice,
    *,
    trials: int = TRIALS,
    draws: int = DRAWS,
) -> Weighing:
    """Weigh hypotheses on a position-averaged pattern of counted electrons.

    Parameters
    ----------
    measured : Measurement
    plans : dict
        Name -> plan of `rhotem.experiment.fit.simulated.pattern_plan`. Atoms of all move as those of the first.
    tilt : float
        Largest mistilt in mrad.
    angles : (float, float)
        Least and most convergence in mrad.
    voice : Voice
    trials, draws : int
        As `weigh_recordings`.

    Raises
    ------
    InputError
        If values are no electrons, no hypothesis is like the pattern, or a step of a fit refuses.
    """
    first = next(iter(plans.values()))
    if not measured.counts:
        raise InputError(f"{measured.source.path}: patterns are weighed where values are electrons; say --counts")
    frame_of(measured, FEW)

    def made(plan: Plan, alike: Specimen | None) -> tuple[Specimen, tuple[Patterns, ...]]:
        job = workflow.prepare(plan, voice)
        cut = workflow.cut(job.plan, job.crystal, [job.name])
        potentials = sets_of_potentials(job, cut, voice, alike, draws)
        return cut, tuple(patterns(cut, one, tilt=tilt, progress=voice.progress) for one in potentials)

    same, sets = _simulated(plans, made, voice)
    means = {name: mean_patterns(one) for name, one in sets.items()}
    settings = _searched(measured, means, angles, voice)
    best = next(iter(settings.values()))
    hypotheses = [
        # one that is unlike the pattern starts where another ends
        PatternHypothesis(name, held, angles, settings.get(name, best), sets[name] if draws > 1 else ())
        for name, held in means.items()
    ]
    frame = frame_of(measured, 0.5 * sum(angles) / min(held.step[0] for held in means.values()))
    weighed = weigh(hypotheses, frame, trials=trials, seed=first.computing.seed, progress=voice.progress)
    return replace(weighed, same=same)


def _simulated(
    plans: dict[str, Plan], made: Callable[[Plan, Specimen | None], tuple[Specimen, Simulated]], voice: Voice
) -> tuple[tuple[tuple[str, str], ...], dict[str, Simulated]]:
    """Hypotheses that are the same, which is told at once, and what is simulated of each, atoms moving alike.

    ``made`` simulates a plan, with displacements of a specimen if one is given. What cannot be read is refused before.
    """
    same = tuple(duplicates(plans))
    for one, other in same:
        voice.warn(f"hypotheses {one} and {other} are the same structure and density: odds between them say nothing")
    found: dict[str, Simulated] = {}
    reference: Specimen | None = None
    for name, plan in plans.items():
        voice.tell(f"hypothesis  {name}")
        try:
            specimen, found[name] = made(plan, reference)
        except InputError as error:
            raise InputError(f"hypothesis {name}: {error}") from None
        reference = reference or specimen
    return same, found


def _searched(
    measured: Measurement, held: dict[str, Patterns], angles: tuple[float, float], voice: Voice
) -> dict[str, Setting]:
    """Where the pattern fits each hypothesis; those that it is unlike are told of and left out."""
    found: dict[str, Setting] = {}
    last: InputError | None = None
    for name, one in held.items():
        try:
            found[name] = fit_pattern(measured, one, angles, progress=voice.progress).setting
        except InputError as error:
            last = error
            voice.tell(f"hypothesis  {name}: {error}")
    if not found:
        assert last is not None
        raise last
    return found
